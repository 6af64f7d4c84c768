package initrd

// Compressor names what the first member of an initrd is packed with, as the kernel's configuration
// does: "gzip", "xz", "zstd" or "lz4"; "" for a plain archive and for what is none of these. start is
// the beginning of the file: eight bytes are enough.
func Compressor(start []byte) string {
	switch sniff(start) {
	case kindGzip:
		return "gzip"
	case kindXZ:
		return "xz"
	case kindZstd:
		return "zstd"
	case kindLZ4:
		return "lz4"
	}
	return ""
}
