package fat

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// find finds a file regardless of case, like GRUB and the firmware.
func (f *FS) find(name string) (*file, error) {
	all, err := f.walk()
	if err != nil {
		return nil, err
	}
	for i := range all {
		if !all[i].folder && strings.EqualFold(all[i].path, name) {
			return &all[i], nil
		}
	}
	return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
}

// ReadFile returns the content of a file of at most limit bytes.
func (f *FS) ReadFile(name string, limit int) ([]byte, error) {
	x, err := f.find(name)
	if err != nil {
		return nil, err
	}
	if x.size > limit {
		return nil, fmt.Errorf("read %s: %d bytes, the limit is %d", name, x.size, limit)
	}
	clusters, err := f.clustersOf(x)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	out := make([]byte, 0, x.size)
	for _, n := range clusters {
		out = append(out, f.bytesOf(n)[:min(f.cluster, x.size-len(out))]...)
	}
	if len(out) != x.size {
		return nil, fmt.Errorf("read %s: %w", name, corruptf("it has %d of %d bytes", len(out), x.size))
	}
	return out, nil
}

// clustersOf lists the clusters of a file's content.
func (f *FS) clustersOf(x *file) ([]int, error) {
	if x.first == 0 {
		return nil, nil
	}
	return f.chain(x.first)
}

// Replace replaces the content of a file. It uses the file's clusters, and the first free clusters if those are too
// few. A failure changes nothing.
func (f *FS) Replace(name string, content []byte) error {
	x, err := f.find(name)
	if err != nil {
		return err
	}
	had, err := f.clustersOf(x)
	if err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	want := (len(content) + f.cluster - 1) / f.cluster
	use := had[:min(want, len(had))]
	if more := want - len(use); more > 0 {
		free := f.free(more)
		if len(free) < more {
			return fmt.Errorf("replace %s: %w: %d bytes more than it has room for", name, ErrFull, (more-len(free))*f.cluster)
		}
		use = append(use[:len(use):len(use)], free...)
	}
	f.store(x, use, had, content)
	return nil
}

// free lists up to want unused clusters in ascending order.
func (f *FS) free(want int) []int {
	var out []int
	for n := 2; n < f.clusters+2 && len(out) < want; n++ {
		if f.next(n) == 0 {
			out = append(out, n)
		}
	}
	return out
}

// store writes the content, its chain and its entry. It clears the rest of the last cluster.
func (f *FS) store(x *file, use, had []int, content []byte) {
	for _, n := range had {
		f.link(n, 0)
	}
	for i, n := range use {
		part := content[min(i*f.cluster, len(content)):]
		dst := f.bytesOf(n)
		clear(dst[copy(dst, part):])
		f.link(n, f.end())
		if i > 0 {
			f.link(use[i-1], n)
		}
	}
	first := 0
	if len(use) > 0 {
		first = use[0]
	}
	e := f.b[x.at:][:entrySize]
	le := binary.LittleEndian
	le.PutUint16(e[26:], uint16(first))
	if f.bits == 32 {
		le.PutUint16(e[20:], uint16(first>>16))
	}
	le.PutUint32(e[28:], uint32(len(content)))
	f.count(len(had) - len(use))
}

// count updates FAT32's number of free clusters.
func (f *FS) count(freed int) {
	if f.info == 0 || freed == 0 {
		return
	}
	at := f.b[f.info+infoFree:]
	if n := u32(at); n != infoUnknown {
		binary.LittleEndian.PutUint32(at, uint32(max(int64(n)+int64(freed), 0)))
	}
}
