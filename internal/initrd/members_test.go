package initrd

import (
	"bytes"
	"slices"
	"testing"

	"mkbuild/e2e/testkit"
)

func TestReadMembers(t *testing.T) {
	one, two, three, four := archive(t, file("a", 0o644, "1"), file("b", 0o644, "2")), archive(t, file("c", 0o644, "3")), archive(t, file("d", 0o644, "4")), archive(t)
	var in []byte
	var want []Member
	add := func(packing string, plain, packed []byte, pad, entries int) {
		want = append(want, Member{int64(len(in)), int64(len(packed)), packing, int64(len(plain)), entries})
		in = append(append(in, packed...), make([]byte, pad)...)
	}
	one = append(bytes.TrimRight(one, "\x00"), 0) // GNU cpio's padding is not part of the archive
	one = append(one, make([]byte, -len(one)&3)...)
	add("none", one, one, 4, 2)
	add("gzip", two, gz(t, two), 5, 1)
	add("zstd", three, zst(t, three), 0, 1)
	add("gzip", four, gz(t, four), 0, 0)
	add("lz4", one, lz4legacy(t, one), 0, 2)
	tree, got, err := ReadMembers(bytes.NewReader(in), "x", 0, nil)
	testkit.Must(t, err)
	if !slices.Equal(got, want) || tree.Len() != 4 {
		t.Errorf("%d entries, members\n%v\nwant\n%v", tree.Len(), got, want)
	}
}
