package medium

import (
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
)

func core(t testing.TB) []byte {
	t.Helper()
	b, err := tinymirror.ISO()
	testkit.Must(t, err)
	return b
}

// TestFlippedBytes changes each byte of an ISO's first 200 KiB in turn: its descriptors, folders and boot files,
// and its initrd. It takes samples, fewer of them among zeros; FuzzISO continues from there.
func TestFlippedBytes(t *testing.T) {
	t.Parallel()
	iso := core(t)
	testkit.Must(t, use(t, iso))
	worked, failed := 0, 0
	const step = 47 // coprime to the sizes of records and sectors
	masks := []byte{0x01, 0x80, 0xff, 0x40}
	for at, n := 0, 0; at < min(len(iso), 200<<10); n++ {
		was := iso[at]
		iso[at] ^= masks[n%len(masks)]
		if use(t, iso) == nil {
			worked++
		} else {
			failed++
		}
		iso[at] = was
		if at += step; was == 0 {
			at += 7 * step // padding, and the system area
		}
	}
	if worked == 0 || failed == 0 {
		t.Errorf("%d flips gave a valid image, %d an error: both have to occur", worked, failed)
	}
}

// FuzzISO reads any file with ReadISO, and a file that it accepts must be writable again.
func FuzzISO(f *testing.F) {
	iso := core(f)
	f.Add(iso)
	f.Add(iso[:18*2048])
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, b []byte) { _ = use(t, b) })
}
