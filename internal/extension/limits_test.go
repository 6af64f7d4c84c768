package extension

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/ext"
	"mkbuild/internal/fail"
)

func TestBadName(t *testing.T) {
	long := strings.Repeat("d/", maxPath/2-1)
	for _, tt := range []struct{ name, want string }{
		{long + "dd", ""}, {long + "ddd", "path is too long"}, {"a b", ""}, {"a\x1fb", "control character in the name"}, {"a\x7f", "control character in the name"},
		{strings.Repeat("n", maxName), ""}, {strings.Repeat("n", maxName+1), "name is too long"}, {".facts.d1/x", "mk-client keeps its own links in .facts.d: call it facts.d"},
	} {
		if got := badName(tt.name, 999); got != tt.want {
			t.Errorf("%.20q: %q, want %q", tt.name, got, tt.want)
		}
	}
	for depth, want := range map[int]string{3: "", 2: "more than 2 directories deep"} {
		if got := badName("a/b/c", depth); got != want {
			t.Errorf("depth %d: %q", depth, got)
		}
	}
}

// TestBadMember tests each rule of one directory entry, at its limit and beyond it.
func TestBadMember(t *testing.T) {
	for method, want := range map[uint16]string{zip.Store: "", zip.Deflate: "", 12: "unsupported compression method 12"} {
		if _, got := badMember(&zip.File{FileHeader: zip.FileHeader{Method: method}}, false); got != want {
			t.Errorf("method %d: %q", method, got)
		}
	}
	lim := Limits{Compressed: 2 << 20, File: 8 << 20, Ratio: 4}
	free := lim
	free.Ratio = 0
	const claims, ratio = "claims to be longer than the archive may be", "compression ratio exceeds 4"
	for _, tt := range []struct {
		size, packed uint64
		mode         fs.FileMode
		lim          Limits
		want         string
	}{
		{0, 2 << 20, 0, lim, ""}, {0, 2<<20 + 1, 0, lim, claims},
		{0, 0, fs.ModeDir, lim, ""}, {1, 0, fs.ModeDir, lim, "directory with content"},
		{0, 0, fs.ModeSymlink, lim, badTarget}, {maxLink, 0, fs.ModeSymlink, lim, ""}, {maxLink + 1, 0, fs.ModeSymlink, lim, badTarget},
		{8 << 20, 2 << 20, 0, lim, ""}, {8<<20 + 1, 2 << 20, 0, lim, "size exceeds 8388608"},
		{1 << 20, 1, 0, lim, ""}, {1<<20 + 1, 1, 0, lim, ratio}, {4 << 20, 1 << 20, 0, lim, ""}, {4<<20 + 4, 1 << 20, 0, lim, ratio}, {8 << 20, 1, 0, free, ""},
	} {
		f := &zip.File{FileHeader: zip.FileHeader{UncompressedSize64: tt.size, CompressedSize64: tt.packed}}
		if _, got := badSize(f, tt.mode, tt.lim); got != tt.want {
			t.Errorf("%d of %d, %v: %q, want %q", tt.packed, tt.size, tt.mode, got, tt.want)
		}
	}
}

// TestAtTheLimits: input at the limits is accepted, from an archive and from a directory.
func TestAtTheLimits(t *testing.T) {
	b := ext.Zip(t, ext.Item("bin/x", "12345", ext.File|0o755))
	lim := Limits{Compressed: int64(len(b)), Total: 5, File: 5, Count: 1, Depth: 2}
	if _, err := unpack(t, b, lim); err != nil {
		t.Error(err)
	}
	s, err := ReadZip("x", bytes.NewReader(b), int64(len(b)), lim)
	testkit.Must(t, err)
	if l, err := List(t.Context(), s); err != nil || len(l.Members) != 1 || l.Unpacked != 5 {
		t.Errorf("%+v, %v", l, err)
	}
	dir := ext.Tree{"x*": "12345"}.Write(t, t.TempDir())
	if s, err = ReadDir(dir, lim); err != nil || s.Check() != nil {
		t.Errorf("%v, %v", err, s.Refused)
	}
	lim.File = 4
	if s, err = ReadDir(dir, lim); err != nil || s.Check() == nil || s.Check().Error() != `member "x": size exceeds 4` {
		t.Errorf("%v, %v", err, s.Check())
	}
	budget := &budgetReader{r: strings.NewReader("12345678"), left: 4}
	if _, err := budget.ReadAt(make([]byte, 4), 0); err != nil || budget.spent {
		t.Errorf("the whole budget: %v", err)
	}
	broken := errors.New("broken")
	whole := &Source{Files: []File{{Path: "x", Size: packMemory, open: func() (io.ReadCloser, error) { return nil, broken }}}}
	if _, err := Pack(t.Context(), whole, DefaultLimits()); !errors.Is(err, broken) {
		t.Errorf("as much as Pack holds: %v", err)
	}
	whole.Files[0].Size++
	if _, err := Pack(t.Context(), whole, DefaultLimits()); err == nil || !strings.Contains(err.Error(), "total size exceeds") {
		t.Errorf("more than Pack holds: %v", err)
	}
	whole.Refused = []*Error{{Reason: "a"}, {Reason: "b"}, {Reason: "c"}}
	if _, err := Pack(t.Context(), whole, DefaultLimits()); err == nil || err.Error() != "a (and 2 more)" {
		t.Errorf("refused: %v", err)
	}
	whole.Refused = whole.Refused[:1]
	if _, err := Pack(t.Context(), whole, DefaultLimits()); err == nil || err.Error() != "a" {
		t.Errorf("refused once: %v", err)
	}
}

// TestMemberInsideAnother: the bytes and the header of one member are inside another member.
func TestMemberInsideAnother(t *testing.T) {
	stored := func(members ...ext.Member) []byte {
		var buf bytes.Buffer
		w := zip.NewWriter(&buf)
		for _, m := range members {
			to, err := w.CreateHeader(&zip.FileHeader{Name: m.Name, Method: zip.Store})
			testkit.Must(t, err)
			_, err = io.WriteString(to, m.Body)
			testkit.Must(t, err)
		}
		testkit.Must(t, w.Close())
		return buf.Bytes()
	}
	inner := stored(ext.Item("b", "same", 0))
	b := stored(ext.Item("a", string(inner), 0), ext.Item("b", "same", 0))
	central := bytes.LastIndex(b, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(b[central+42:], localHeader+1)
	_, err := unpack(t, b, DefaultLimits())
	if why, ok := errors.AsType[*Error](err); !ok || why.Kind != Format || why.Error() != `member "b": overlaps another member` {
		t.Error(err)
	}
}

func TestLinkTargets(t *testing.T) {
	target := strings.Repeat("./", maxLink/2-1) + "xx"
	b := ext.Zip(t, ext.Item("a", target, ext.Link|0o777), ext.Item("b", "./bin//x", ext.Link|0o777))
	s, err := ReadZip("x", bytes.NewReader(b), int64(len(b)), DefaultLimits())
	if err != nil || s.Check() != nil || s.Files[0].Link != target || s.Files[0].End != "xx" || s.Files[1].End != "bin/x" {
		t.Errorf("%+v, %v", s, err)
	}
	for more, want := range map[string]string{"": "", "x": badTarget} {
		dir := t.TempDir()
		testkit.Must(t, os.Symlink(target+more, filepath.Join(dir, "a")))
		s, err := ReadDir(dir, DefaultLimits())
		if err != nil || len(s.Files) != 1 || s.Files[0].Refused != want {
			t.Errorf("%d bytes: %+v, %v", len(target+more), s, err)
		}
	}
	long := strings.Repeat("d/", maxPath/2-1)
	l := links{targets: map[string]string{"a": long + "dd/..", "b": long + "ddd/.."}, ends: map[string]end{}}
	if a, b := l.follow("a"), l.follow("b"); a.path != strings.TrimSuffix(long, "/") || b.hops <= maxHops {
		t.Errorf("%+v, %+v", a, b)
	}
}

// TestModes: an archive without modes is reported, whatever made it, but not an empty archive.
func TestModes(t *testing.T) {
	for by, want := range map[uint16]bool{0: true, creatorUnix: false, creatorDarwin: false, 11: true} {
		b := ext.Zip(t, ext.Item("a", "", 0))
		b[bytes.Index(b, []byte("PK\x01\x02"))+5] = byte(by)
		if s, err := ReadZip("x", bytes.NewReader(b), int64(len(b)), DefaultLimits()); err != nil || s.NoModes != want {
			t.Errorf("made by %d: %+v, %v", by, s, err)
		}
	}
	b := ext.Zip(t)
	if s, err := ReadZip("x", bytes.NewReader(b), int64(len(b)), DefaultLimits()); err != nil || s.NoModes {
		t.Errorf("empty: %+v, %v", s, err)
	}
	for f, want := range map[*File]bool{{Mode: 0o100}: true, {Mode: 0o644}: false, {Mode: 0o755, Refused: "x"}: false, {Mode: fs.ModeDir | 0o755}: false} {
		if f.Executable() != want {
			t.Errorf("%+v", f)
		}
	}
}

// TestNames: a non-ASCII name is marked as UTF-8, and content is stored if packing does not shrink it.
func TestNames(t *testing.T) {
	same := []byte(strings.Repeat("a", 9))
	for i := range 28 {
		same = append(same, byte(0x90+i))
	}
	if _, method, err := deflate(same); err != nil || method != zip.Store {
		t.Errorf("method %d, %v", method, err)
	}
	for name, want := range map[string]uint16{"~": 0, "\u0080": flagUTF8} {
		b := pack(t, ext.Tree{name: ""}.Write(t, t.TempDir()))
		zr, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		testkit.Must(t, err)
		if got := zr.File[0].Flags; got != want {
			t.Errorf("%q: flags %#x", name, got)
		}
	}
}

// TestReadNamed: the content of a named file determines its kind.
func TestReadNamed(t *testing.T) {
	dir := ext.Tree{"d/bin/x*": ext.Sh, "good.zip": string(ext.Zip(t, ext.Item("bin/x", ext.Sh, ext.File|0o755))), "bad.zip": "hello"}.Write(t, t.TempDir())
	testkit.Must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	for name, want := range map[string]string{
		"d": "", "good.zip": "", "bad.zip": "not a zip archive", "fifo": "it is not a file", "none": "no such file", "good.zip/x": "not a directory",
	} {
		s, release, err := Read(filepath.Join(dir, name), DefaultLimits())
		if want == "" {
			testkit.Must(t, err)
			if len(s.Files) == 0 || s.Check() != nil {
				t.Errorf("%s: %+v", name, s)
			}
			release()
		} else if fail.ClassOf(err) != fail.Usage || fail.HintOf(err) == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		to := t.TempDir()
		err = UnpackNamed(t.Context(), filepath.Join(dir, name), to, DefaultLimits())
		_, statErr := os.Stat(filepath.Join(to, "bin/x"))
		if (err == nil) != (want == "") || (statErr == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("unpack %s: %v, %v", name, err, statErr)
		}
	}
	if _, err := ReadDir(filepath.Join(dir, "bad.zip"), DefaultLimits()); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file as a directory: %v", err)
	}
	wrapped := ext.Tree{"e/bin/x*": ext.Sh}.Write(t, t.TempDir())
	if err := UnpackNamed(t.Context(), wrapped, t.TempDir(), DefaultLimits()); err == nil || !strings.Contains(err.Error(), "wrapped") {
		t.Errorf("a directory that is refused: %v", err)
	}
	if err := Named(os.ErrPermission, "hint"); fail.ClassOf(err) == fail.Usage {
		t.Error("a disk without permission is the fault of the name")
	}
}

// TestExampleModes: exactly the programs and executable facts have execute permission.
func TestExampleModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	testkit.Must(t, WriteExample(dir))
	programs := ""
	testkit.Must(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && !d.IsDir() && info.Mode()&0o100 != 0 {
			programs += p[len(dir)+1:] + " "
		}
		return err
	}))
	if programs != "bin/site-role facts.d/site_hardware " {
		t.Errorf("programs: %s", programs)
	}
	if err := WriteExample(dir); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("again: %v", err)
	}
	if err := WriteExample(t.TempDir()); err != nil {
		t.Errorf("an empty directory: %v", err)
	}
	file := filepath.Join(dir, "README.md")
	if err := WriteExample(file); err == nil || errors.Is(err, ErrNotEmpty) {
		t.Errorf("a file: %v", err)
	}
}

func TestListingText(t *testing.T) {
	sum := strings.Repeat("a", 64)
	l := &Listing{Unpacked: 12, Members: []Row{
		{Path: "../e\x1b", Mode: "-rw-r--r--", Size: 1, Refused: "path is not clean"},
		{Path: "bin/x", Mode: "-rwxr-xr-x", Size: 10, SHA256: sum},
		{Path: "bin/y", Mode: "lrwxrwxrwx", Size: 1, Link: "x"},
		{Path: "share", Mode: "drwxr-xr-x"},
	}, Refused: []string{"no"}}
	none := fmt.Sprintf("%-64s", "-")
	want := "-rw-r--r--          1 " + none + " ../e\\x1b  [refused: path is not clean]\n-rwxr-xr-x         10 " + sum + " bin/x\n" +
		"lrwxrwxrwx          1 " + none + " bin/y -> x\ndrwxr-xr-x          0 " + none + " share\n\n4 members, 12 bytes unpacked\n" +
		"  bin       prepended to PATH of Facter and all facts\n  share     unpacked, not used by itself\nrefused by the client: no\n"
	if got := l.Text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	l.Size = 7
	if got := l.Text(); !strings.Contains(got, "12 bytes unpacked, 7 bytes packed\n") {
		t.Errorf("of an archive:\n%s", got)
	}
}
