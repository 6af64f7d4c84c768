package medium

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/bootmenu"
	"mkbuild/internal/initrd"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/overlay"
	"mkbuild/internal/tcz"
)

// scratch is a file that is read as an ISO; its content changes from case to case.
type scratch struct{ *os.File }

func newScratch(t testing.TB) *scratch {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "core.iso"))
	testkit.Must(t, err)
	t.Cleanup(func() { f.Close() })
	return &scratch{f}
}

// fill makes b the content.
func (s *scratch) fill(t testing.TB, b []byte) {
	t.Helper()
	_, err := s.WriteAt(b, 0)
	if err = errors.Join(err, s.Truncate(int64(len(b)))); err != nil {
		t.Fatal(err)
	}
}

// use takes the file apart as a build does, and puts it together again when that worked. It fails
// the test on anything but a plain error of a known class: a panic, were it one that is caught on
// the way, too.
func (s *scratch) use(t testing.TB, size int64) error {
	t.Helper()
	err := s.rebuild(size)
	if err == nil {
		return nil
	}
	if strings.Contains(err.Error(), "gave up") {
		t.Errorf("a parser panicked: %v", err)
	}
	for _, known := range []error{iso9660.ErrNotISO, iso9660.ErrCorrupt, iso9660.ErrTruncated, iso9660.ErrInvalid, iso9660.ErrTooLarge, initrd.ErrCorrupt, initrd.ErrNotInitrd,
		ErrNoMenu, tcz.ErrNotKernel, overlay.ErrLimit, overlay.ErrPath, io.ErrUnexpectedEOF} {
		if errors.Is(err, known) {
			return err
		}
	}
	if !strings.Contains(err.Error(), "core.iso") && !strings.Contains(err.Error(), "isolinux") {
		t.Errorf("an error that names nothing: %v", err)
	}
	return err
}

// rebuild writes the image that would be made of the file.
func (s *scratch) rebuild(size int64) error {
	m, err := ReadISO(s.File, size, "core.iso")
	if err == nil {
		err = m.Bootable()
	}
	if err == nil {
		_, err = m.KernelRelease()
	}
	if err == nil {
		_, err = m.Tree()
	}
	if err == nil {
		m, err = m.Edit(bootmenu.Edit{Append: "x"}, 0)
	}
	if err != nil {
		return err
	}
	return m.ISO.Write(io.Discard)
}

// TestFlippedBytes changes one byte after the other of the image's first 200 KiB: its
// descriptors, folders and boot files, and its initrd. It takes samples, fewer of them where there is
// nothing but zeros; FuzzISO goes on from there.
func TestFlippedBytes(t *testing.T) {
	t.Parallel()
	iso, err := tinymirror.ISO()
	testkit.Must(t, err)
	s := newScratch(t)
	s.fill(t, iso)
	testkit.Must(t, s.use(t, int64(len(iso))))
	worked, failed := 0, 0
	flip := func(at int, mask byte) {
		if _, err := s.WriteAt([]byte{iso[at] ^ mask}, int64(at)); err != nil {
			t.Fatal(err)
		}
		if s.use(t, int64(len(iso))) == nil {
			worked++
		} else {
			failed++
		}
		if _, err := s.WriteAt(iso[at:at+1], int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	step := 47 // coprime to the sizes of records and sectors
	masks := []byte{0x01, 0x80, 0xff, 0x40}
	for at, n := 0, 0; at < min(len(iso), 200<<10); n++ {
		flip(at, masks[n%len(masks)])
		if iso[at] == 0 {
			at += 7 * step // padding, and the system area
		} else {
			at += step
		}
	}
	if worked == 0 || failed == 0 {
		t.Errorf("%d flips gave a valid build, %d an error: both have to occur", worked, failed)
	}
	t.Logf("%d flips gave a valid build, %d an error", worked, failed)
}

// TestCutOff ends the image anywhere.
func TestCutOff(t *testing.T) {
	t.Parallel()
	iso, err := tinymirror.ISO()
	testkit.Must(t, err)
	s := newScratch(t)
	for size := 0; size < len(iso); size += 4099 {
		s.fill(t, iso[:size])
		if err := s.use(t, int64(size)); err == nil {
			t.Errorf("%d of %d bytes are a valid image", size, len(iso))
		}
	}
}

// TestHostileSizes puts extreme numbers where sizes and places stand: nothing may be allocated, or
// read for ever, because of them.
func TestHostileSizes(t *testing.T) {
	t.Parallel()
	iso, err := tinymirror.ISO()
	testkit.Must(t, err)
	s := newScratch(t)
	start := time.Now()
	root := binary.LittleEndian.Uint32(iso[16*2048+158:])
	places := []int{16*2048 + 80, 16*2048 + 128, 16*2048 + 158, 16*2048 + 166, 17*2048 + 0x47}
	for at := int(root) * 2048; at < int(root)*2048+400; at += 5 {
		places = append(places, at)
	}
	for _, at := range places {
		for _, v := range []uint32{0, 0xffffffff, root} {
			changed := bytes.Clone(iso)
			binary.LittleEndian.PutUint32(changed[at:], v)
			s.fill(t, changed)
			_ = s.use(t, int64(len(changed)))
		}
	}
	if d := time.Since(start); d > 2*time.Minute {
		t.Errorf("it took %v", d)
	}
}

// FuzzISO gives ReadISO any file, and what it takes apart has to go together again.
func FuzzISO(f *testing.F) {
	iso, err := tinymirror.ISO()
	testkit.Must(f, err)
	f.Add(iso)
	f.Add(iso[:18*2048])
	f.Add([]byte("<html>"))
	s := newScratch(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		s.fill(t, b)
		_ = s.use(t, int64(len(b)))
	})
}
