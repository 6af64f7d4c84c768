package cpio

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// member is an entry with its content.
type member struct {
	Header
	data string
}

// entries has every kind of file, a hard link and numbers at their limits.
func entries() []member {
	return []member{
		{Header{Name: ".", Mode: 0o40755}, ""},
		{Header{Name: "bin", Mode: 0o42775, GID: 50}, ""},
		{Header{Name: "bin/su", Mode: 0o104755, MTime: maxField, NLink: 2, Ino: 9}, ""},
		{Header{Name: "bin/su2", Mode: 0o104755, MTime: maxField, NLink: 2, Ino: 9}, "setuid"},
		{Header{Name: "lib", Mode: 0o120777}, "usr/lib"},
		{Header{Name: "null", Mode: 0o20666, RMajor: 1, RMinor: 3}, ""},
		{Header{Name: "loop", Mode: 0o60660, UID: maxField, RMajor: 7, RMinor: 1 << 19}, ""},
		{Header{Name: "summed", Mode: 0o100644, CRC: true, Checksum: 'a' + 'b' + 'c'}, "abc"},
		{Header{Name: "pipe", Mode: 0o10600}, ""},
	}
}

// write makes an archive. Ino and NLink of the members are filled in.
func write(t testing.TB, members []member) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := NewWriter(&buf)
	for i := range members {
		m := &members[i]
		m.Size = int64(len(m.data))
		testkit.Must(t, w.WriteHeader(&m.Header))
		if _, err := io.WriteString(w, m.data); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Must(t, w.Close())
	return buf.Bytes()
}

// readAll returns all members, one a line.
func readAll(r io.Reader) (string, error) {
	d := NewReader(r)
	var sb strings.Builder
	for {
		h, err := d.Next()
		if errors.Is(err, io.EOF) {
			return sb.String(), nil
		}
		if err != nil {
			return sb.String(), err
		}
		b, err := io.ReadAll(d)
		if err != nil {
			return sb.String(), err
		}
		fmt.Fprintf(&sb, "%+v %q\n", *h, b)
	}
}

func TestRoundTrip(t *testing.T) {
	in := entries()
	b := write(t, in)
	if len(b)%512 != 0 {
		t.Errorf("%d bytes are not a multiple of 512", len(b))
	}
	var want strings.Builder
	for _, m := range in {
		fmt.Fprintf(&want, "%+v %q\n", m.Header, m.data)
	}
	got, err := readAll(bytes.NewReader(b))
	if err != nil || got != want.String() {
		t.Errorf("got %v\n%swant\n%s", err, got, want.String())
	}
	if in[0].Ino != 1 || in[0].NLink != 2 || in[1].Ino != 2 || in[4].Ino != 10 || in[4].NLink != 1 {
		t.Errorf("inode numbers and links: %+v", in)
	}
}

func TestGoldenHeader(t *testing.T) {
	b := write(t, []member{{Header{Name: "f", Mode: 0o100644, UID: 1001, GID: 50, MTime: 0x4e8a5c3d}, "x"}})
	want := "07070100000001000081A4000003E900000032000000014E8A5C3D00000001000000000000000000000000000000000000000200000000f\x00x\x00\x00\x00" +
		"07070100000000000000000000000000000000000000010000000000000000000000000000000000000000000000000000000B00000000TRAILER!!!\x00\x00\x00\x00"
	if got := string(b[:len(want)]); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if rest := bytes.Trim(b[len(want):], "\x00"); len(rest) > 0 {
		t.Errorf("padding holds %q", rest)
	}
}

func TestSeveralArchives(t *testing.T) {
	a := write(t, []member{{Header{Name: "a", Mode: 0o100644}, "1"}})
	b := write(t, []member{{Header{Name: "b", Mode: 0o100644}, "2"}})
	joined := bytes.Join([][]byte{a, b}, make([]byte, 4096))
	d := NewReader(bytes.NewReader(joined))
	for _, want := range []string{"a", "b"} {
		h, err := d.Next()
		if err != nil || h.Name != want {
			t.Fatalf("got %v, %v; want %s", h, err, want)
		}
	}
	if _, err := d.Next(); !errors.Is(err, io.EOF) || d.Archives() != 2 || d.Offset() != int64(len(joined)) {
		t.Errorf("got %v after %d archives and %d of %d bytes", err, d.Archives(), d.Offset(), len(joined))
	}
}

func TestSingleArchiveStopsBehindItsTrailer(t *testing.T) {
	br := bufio.NewReaderSize(bytes.NewReader(append(write(t, entries()), "\x1f\x8b rest"...)), readBuffer)
	d := NewReader(br)
	d.Multistream(false)
	for {
		_, err := d.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		testkit.Must(t, err)
	}
	rest, _ := io.ReadAll(br)
	if got := strings.TrimLeft(string(rest), "\x00"); got != "\x1f\x8b rest" {
		t.Errorf("left %q", got)
	}
}

// edit returns b with text at the offset of mark replaced.
func edit(b []byte, mark string, by int, text string) []byte {
	c := bytes.Clone(b)
	copy(c[bytes.Index(c, []byte(mark))+by:], text)
	return c
}

func TestReaderRefuses(t *testing.T) {
	good := write(t, entries())
	nameSize := 94
	tests := []struct {
		name string
		in   []byte
		want error
	}{
		{"empty", nil, io.ErrUnexpectedEOF},
		{"only padding", make([]byte, 512), io.ErrUnexpectedEOF},
		{"noise", []byte(strings.Repeat("noise", 100)), ErrFormat},
		{"odc", []byte(strings.Replace(string(good), "070701", "070707", 1)), ErrFormat},
		{"not hexadecimal", edit(good, "07070", 20, "xyz"), ErrFormat},
		{"no name", edit(good, "07070", nameSize, "00000000"), ErrFormat},
		{"huge name", edit(good, "07070", nameSize, "FFFFFFF0"), ErrFormat},
		{"name over PATH_MAX", edit(good, "07070", nameSize, "00001001"), ErrFormat},
		{"name not terminated", edit(good, ".\x00", 1, "x"), ErrFormat},
		{"name of NULs", edit(good, ".\x00", 0, "\x00"), ErrFormat},
		{"wrong checksum", edit(good, "abc", 0, "abd"), ErrChecksum},
		{"huge content", edit(good, "07070", 54, "FFFFFFFF"), io.ErrUnexpectedEOF},
		{"content longer than its size", bytes.Replace(good, []byte("00000006"), []byte("00000001"), 1), ErrFormat},
		{"header not aligned", append(bytes.Clone(good), "\x00070701"...), ErrFormat},
		{"garbage behind", append(bytes.Clone(good), "garb"...), io.ErrUnexpectedEOF},
		{"other garbage behind", append(bytes.Clone(good), strings.Repeat("garbage!", 20)...), ErrFormat},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := readAll(bytes.NewReader(tt.in)); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v; read\n%s", err, tt.want, got)
			}
		})
	}
}

// A truncated archive is an error, wherever it is cut before the end of its trailer.
func TestTruncation(t *testing.T) {
	good := write(t, entries())
	whole := bytes.Index(good, []byte(trailer)) + len(trailer) + 1
	for n := range whole {
		if _, err := readAll(bytes.NewReader(good[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d of %d: got %v", n, whole, err)
		}
	}
	if _, err := readAll(bytes.NewReader(good[:whole])); err != nil {
		t.Errorf("complete but for the padding: %v", err)
	}
}

func TestErrorsStay(t *testing.T) {
	d := NewReader(bytes.NewReader(edit(write(t, entries()), "abc", 0, "abd")))
	var first error
	for first == nil {
		_, first = d.Next()
	}
	if _, err := d.Next(); !errors.Is(first, ErrChecksum) || !errors.Is(err, ErrChecksum) {
		t.Errorf("got %v, then %v", first, err)
	}
}

func TestSkippingEqualsReading(t *testing.T) {
	d := NewReader(bytes.NewReader(write(t, entries())))
	var names []string
	for {
		h, err := d.Next()
		if err != nil {
			break
		}
		names = append(names, h.Name)
	}
	if got, want := strings.Join(names, " "), ". bin bin/su bin/su2 lib null loop summed pipe"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// gen_init_cpio -a pads names with NULs to align contents (Linux 6.18).
func TestNamePaddedWithNULs(t *testing.T) {
	h := Header{Name: "f" + strings.Repeat("\x00", 50), Mode: 0o100644, NLink: 1, Size: 4}
	b := append(appendHeader(nil, &h), "data"...)
	b = append(b, appendHeader(nil, &Header{Name: trailer})...)
	got, err := NewReader(bytes.NewReader(b)).Next()
	if err != nil || got.Name != "f" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestReaderAllocatesLittle(t *testing.T) {
	in := edit(edit(write(t, entries()), "07070", 94, "FFFFFFF0"), "07070", 54, "FFFFFFFF")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := NewReader(bytes.NewReader(in)).Next()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; err == nil || n > 1<<20 {
		t.Errorf("%d bytes allocated, %v", n, err)
	}
}

func TestWriterRefuses(t *testing.T) {
	tests := []struct {
		name string
		h    Header
	}{
		{"no name", Header{}},
		{"trailer", Header{Name: trailer}},
		{"NUL", Header{Name: "a\x00b"}},
		{"absolute", Header{Name: "/a"}},
		{"dot slash", Header{Name: "./a"}},
		{"long name", Header{Name: strings.Repeat("a", 4096)}},
		{"4 GiB", Header{Name: "a", Size: 1 << 32}},
		{"negative size", Header{Name: "a", Size: -1}},
		{"2106", Header{Name: "a", MTime: 1 << 32}},
		{"1969", Header{Name: "a", MTime: -1}},
		{"no inode left", Header{Name: "a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := NewWriter(io.Discard)
			if tt.name == "no inode left" {
				testkit.Must(t, w.WriteHeader(&Header{Name: "first", Ino: maxField}))
			}
			if err := w.WriteHeader(&tt.h); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// TestWriterTakesLimits: the longest name, the largest file, and a link whose content is under another name.
func TestWriterTakesLimits(t *testing.T) {
	if err := (&Header{Name: "a", Size: maxField}).check(); err != nil {
		t.Error(err)
	}
	b := write(t, []member{{Header{Name: strings.Repeat("a", maxName-1), Mode: 0o100644}, "1"}, {Header{Name: "b", Mode: 0o100644, Ino: 2, NLink: 2, CRC: true, Checksum: 5}, ""}})
	if got, err := readAll(bytes.NewReader(b)); err != nil || strings.Count(got, "\n") != 2 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWriterChecksContent(t *testing.T) {
	file := Header{Name: "f", Mode: 0o100644, Size: 3}
	summed := file
	summed.CRC, summed.Checksum = true, 1
	tests := []struct {
		name string
		h    Header
		data string
	}{
		{"too long", file, "1234"}, {"too short", file, "12"}, {"wrong sum", summed, "123"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := NewWriter(io.Discard)
			testkit.Must(t, w.WriteHeader(&tt.h))
			_, werr := io.WriteString(w, tt.data)
			if err := w.Close(); err == nil || !strings.Contains(err.Error(), `"f"`) {
				t.Errorf("write %v, close %v", werr, err)
			}
		})
	}
}

func TestWriterAfterClose(t *testing.T) {
	w := NewWriter(io.Discard)
	testkit.Must(t, w.Close())
	if err := w.WriteHeader(&Header{Name: "a"}); err == nil {
		t.Error("header accepted")
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestWriterReportsFullDisk(t *testing.T) {
	w := NewWriter(fullDisk{})
	testkit.Must(t, w.WriteHeader(&Header{Name: "a", Mode: 0o100644, Size: 1 << 20}))
	_, err := w.Write(make([]byte, 1<<20))
	if cerr := w.Close(); !errors.Is(err, io.ErrShortWrite) || !errors.Is(cerr, io.ErrShortWrite) {
		t.Errorf("write %v, close %v", err, cerr)
	}
}

// FuzzReader reads any input; entries that it reads can be written and read again.
func FuzzReader(f *testing.F) {
	good := write(f, entries())
	f.Add(good)
	f.Add(good[:len(good)-600])
	f.Add(append(bytes.Clone(good), good...))
	f.Add(edit(good, "07070", 94, "FFFFFFF0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := NewReader(bytes.NewReader(b))
		var back []member
		for len(back) < 1000 {
			h, err := d.Next()
			if err != nil {
				break
			}
			data, err := io.ReadAll(d)
			if err != nil {
				break
			}
			if h.check() == nil && h.Ino > 0 {
				back = append(back, member{*h, string(data)})
			}
		}
		for i := range back {
			back[i].CRC = back[i].hasSum() // an unchecked sum is not written
		}
		if _, err := readAll(bytes.NewReader(write(t, back))); err != nil {
			t.Errorf("written again: %v", err)
		}
	})
}
