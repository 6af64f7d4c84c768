package testkit

import "encoding/binary"

// ELF is a 32-bit program that needs only one shared library. Like many programs of Tiny Core, it has no sections.
func ELF(lib string) []byte {
	le := binary.LittleEndian
	b := make([]byte, 52+2*32)
	copy(b, "\x7fELF\x01\x01\x01")
	le.PutUint16(b[16:], 2)  // ET_EXEC
	le.PutUint16(b[18:], 3)  // EM_386
	le.PutUint32(b[20:], 1)  // version
	le.PutUint32(b[28:], 52) // program headers
	le.PutUint16(b[40:], 52)
	le.PutUint16(b[42:], 32)
	le.PutUint16(b[44:], 2)
	text := append([]byte{0}, lib...)
	text = append(text, 0)
	dyn := uint32(len(b) + len(text))
	for _, v := range []uint32{1, 1, 5, uint32(52 + 64), 10, uint32(len(text)), 0, 0} { // NEEDED, STRTAB, STRSZ, NULL
		text = le.AppendUint32(text, v)
	}
	size := uint32(len(b) + len(text))
	for i, v := range []uint32{1, 0, 0, 0, size, size, 5, 4, 2, dyn, dyn, dyn, 32, 32, 6, 4} { // PT_LOAD, PT_DYNAMIC
		le.PutUint32(b[52+4*i:], v)
	}
	return append(b, text...)
}
