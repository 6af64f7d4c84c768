//go:build unix

package hostfile

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/fail"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
	return name
}

func fifo(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// socket makes a socket; its path has to be short.
func socket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "") //nolint:usetesting // t.TempDir's names are too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return filepath.Join(dir, "s")
}

// promptly fails a test whose do takes too long for a user.
func promptly(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(testkit.Patience):
		t.Fatal("it hangs")
	}
}

// TestRead: a file is read through links and up to its limit, and everything else is refused at once.
func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := write(t, dir, "file", "12345")
	link := filepath.Join(dir, "link")
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	endless := filepath.Join(dir, "endless")
	if err := os.Symlink("/dev/zero", endless); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, want string }{
		{file, ""}, {link, ""},
		{dir, "it is a folder"}, {fifo(t), "it is a pipe"}, {socket(t), "it is a socket"},
		{"/dev/zero", "it is a device"}, {"/dev/null", "it is a device"}, {endless, "it is a device"},
		{write(t, dir, "large", "123456"), "over the limit of 5 bytes"},
		{filepath.Join(dir, "gone"), "no such file"}, {filepath.Join(file, "below"), "not a directory"},
	} {
		promptly(t, func() {
			b, err := Read(tt.name, 5)
			switch {
			case tt.want == "" && (err != nil || string(b) != "12345"):
				t.Errorf("%s: %q, %v", tt.name, b, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.name)):
				t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
			case strings.HasPrefix(tt.want, "it is") && fail.ClassOf(err) != fail.Usage:
				t.Errorf("%s: class %d", tt.name, fail.ClassOf(err))
			}
		})
	}
	// A file that grows during the reading also has a limit: its size is 0 here.
	if _, err := Read("/proc/self/maps", 5); err == nil || !strings.Contains(err.Error(), "limit") {
		if _, serr := os.Stat("/proc/self/maps"); serr == nil {
			t.Errorf("a file of /proc: %v", err)
		}
	}
}

// TestReadPiped: a pipe is read when somebody writes to it, however late, until the writer closes it.
func TestReadPiped(t *testing.T) {
	t.Parallel()
	t.Run("written", func(t *testing.T) {
		t.Parallel()
		name := fifo(t)
		go func() {
			f, err := os.OpenFile(name, os.O_WRONLY, 0)
			if err != nil {
				t.Error(err)
				return
			}
			for _, part := range []string{"release: ", "4.5.2\n"} {
				time.Sleep(50 * time.Millisecond)
				f.WriteString(part)
			}
			f.Close()
		}()
		promptly(t, func() {
			if b, err := ReadPiped(t.Context(), name, 100); err != nil || string(b) != "release: 4.5.2\n" {
				t.Errorf("%q, %v", b, err)
			}
		})
	})
	t.Run("nobody writes", func(t *testing.T) {
		t.Parallel()
		promptly(t, func() {
			if _, err := ReadPiped(t.Context(), fifo(t), 100); fail.ClassOf(err) != fail.Usage || !strings.Contains(err.Error(), "the pipe is empty") {
				t.Error(err)
			}
		})
	})
	t.Run("endless", func(t *testing.T) {
		t.Parallel()
		name := fifo(t)
		go func() {
			if f, err := os.OpenFile(name, os.O_WRONLY, 0); err == nil {
				for err == nil {
					_, err = f.WriteString(strings.Repeat("x", 4096)) // until the reader is gone
				}
				f.Close()
			}
		}()
		promptly(t, func() {
			if _, err := ReadPiped(t.Context(), name, 100); err == nil || !strings.Contains(err.Error(), "over the limit of 100 bytes") {
				t.Error(err)
			}
		})
	})
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()
		name := fifo(t)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			f, err := os.OpenFile(name, os.O_WRONLY, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			time.Sleep(50 * time.Millisecond)
			cancel()
			<-t.Context().Done()
		}()
		promptly(t, func() {
			if _, err := ReadPiped(ctx, name, 100); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	})
	t.Run("others", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"/dev/zero", socket(t), t.TempDir()} {
			if _, err := ReadPiped(t.Context(), name, 100); fail.ClassOf(err) != fail.Usage {
				t.Errorf("%s: %v", name, err)
			}
		}
		if b, err := ReadPiped(t.Context(), write(t, t.TempDir(), "f", "text"), 4); err != nil || string(b) != "text" {
			t.Errorf("%q, %v", b, err)
		}
	})
}

// TestOpenIn: a folder's own files, but no link out of it.
func TestOpenIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outside := write(t, t.TempDir(), "outside", "x")
	write(t, dir, "in", "x")
	if err := errors.Join(os.Symlink(outside, filepath.Join(dir, "out")), syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600)); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	f, info, err := OpenIn(root, "in")
	if err != nil || info.Size() != 1 {
		t.Fatal(err)
	}
	f.Close()
	for _, name := range []string{"out", "fifo", "gone"} {
		promptly(t, func() {
			if f, _, err := OpenIn(root, name); err == nil {
				f.Close()
				t.Errorf("%s is opened", name)
			}
		})
	}
}

// site is a folder with the inputs of a build, and other names for them.
func site(t *testing.T) (string, *Reads) {
	t.Helper()
	dir := t.TempDir()
	config := write(t, dir, "mkbuild.yaml", "x")
	key := write(t, dir, "keys/id.pub", "x")
	tcz := write(t, dir, "mirror/4.x/tcz/ruby.tcz", "x")
	iso := write(t, dir, "store/Core.iso", "x")
	write(t, dir, "old.iso", "x")
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("mkbuild.yaml", "to-config")
	link("to-config", "to-link")
	link("old.iso", "to-old")
	link("new.iso", "to-new")
	link("nowhere/new.iso", "to-nowhere")
	link("loop", "loop")
	link("mirror/4.x", "short")
	link(iso, "mirror/4.x/tcz/Core.iso") // the target of the mirror's file, which is a link
	link("/dev/null", "to-null")
	for _, hard := range [][2]string{{config, "hard-config"}, {tcz, "hard-tcz"}, {key, "hard-key"}} {
		if err := os.Link(hard[0], filepath.Join(dir, hard[1])); err != nil {
			t.Fatal(err)
		}
	}
	var r Reads
	r.Add("the configuration", config)
	r.Add("the lock", filepath.Join(dir, "mkbuild.lock")) // missing
	r.Add("a file of openssh.authorized_keys", key)
	r.Add("a folder of the mirror", filepath.Join(dir, "mirror/4.x/tcz"))
	r.Add("what client.ca names", "")
	return dir, &r
}

// TestFilesAllowed: under any name, a result replaces only a regular file that nobody reads.
func TestFilesAllowed(t *testing.T) {
	t.Parallel()
	dir, reads := site(t)
	for name, want := range map[string]string{
		"new.iso": "", "old.iso": "", "to-old": "", "to-new": "", "mirror/x.iso": "", "mirror/4.x/x.iso": "", "keys/x": "",
		"mkbuild.yaml": "the configuration", "./keys/../mkbuild.yaml": "the configuration", "to-config": "the configuration",
		"to-link": "the configuration", "hard-config": "the configuration", "mkbuild.lock": "the lock",
		"keys/id.pub": "authorized_keys", "hard-key": "authorized_keys",
		"mirror/4.x/tcz/ruby.tcz": "it lies in a folder of the mirror", "mirror/4.x/tcz/new.iso": "it lies in a folder of the mirror",
		"short/tcz/x": "it lies in a folder of the mirror", "hard-tcz": "by another name", "store/Core.iso": "by another name",
		"keys": "it is a folder", "keys/": "it is the name of a folder", "new/": "it is the name of a folder",
		"nowhere/x": "no such file", "to-nowhere": "no such file", "mkbuild.yaml/x": "not a directory", "loop": "too many",
		"to-null": "it is a device", "/dev/full": "it is a device", "/dev/fd/0": "open file", "/proc/self/fd/0": "open file", "": "no file name",
	} {
		given := name
		if name != "" && !filepath.IsAbs(name) {
			given = dir + "/" + name
		}
		err := reads.Allow(t.Context(), File(given, "-o FILE"))
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want != "" && (fail.ClassOf(err) != fail.Usage || fail.HintOf(err) == "" || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	for _, name := range []string{fifo(t), socket(t)} {
		if err := reads.Allow(t.Context(), File(name, "-o FILE")); fail.ClassOf(err) != fail.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := reads.Allow(t.Context(), File(dir+"/new.iso", "-o FILE"), File(dir+"/to-new", "-o FILE")); fail.ClassOf(err) != fail.Usage || !strings.Contains(err.Error(), "two results") {
		t.Errorf("two results in one place: %v", err)
	}
}

// TestFoldersAllowed: a replaced folder is mkbuild's own and contains no input.
func TestFoldersAllowed(t *testing.T) {
	t.Parallel()
	dir, reads := site(t)
	write(t, dir, "own/file", "x")
	write(t, dir, "theirs/file", "x")
	for link, target := range map[string]string{"to-own": "own", "to-next": "next"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	theirs := fail.New(fail.Usage, "it is theirs", "name another")
	own := func(files fs.FS) error {
		info, err := fs.Stat(files, ".")
		if err != nil {
			return err
		}
		if their, err := os.Stat(filepath.Join(dir, "theirs")); err == nil && os.SameFile(info, their) {
			return theirs
		}
		return nil
	}
	for name, want := range map[string]string{
		"new": "", "new/": "", "own": "", "own/": "", "own//": "", "to-own": "", "to-own/": "", "to-next": "", "to-next/": "",
		"theirs": "it is theirs", "theirs/": "it is theirs", "old.iso": "not a folder", "mkbuild.yaml": "not a folder", "to-null": "not a folder",
		"mirror": "it holds a folder of the mirror", "mirror/": "it holds a folder of the mirror", "mirror/4.x/tcz": "it is a folder of the mirror",
		"mirror/4.x/tcz/new": "it lies in a folder of the mirror", "keys": "it holds a file of openssh.authorized_keys",
		"nowhere/x": "no such file", "/": "it is the current folder",
	} {
		given := name
		if !filepath.IsAbs(name) {
			given = dir + "/" + name
		}
		err := reads.Allow(t.Context(), Folder(given, "-o DIR", own))
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want != "" && (fail.ClassOf(err) != fail.Usage || fail.HintOf(err) == "" || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	for name, want := range map[string]bool{"new/below/it": true, "own": true, "keys": false, "old.iso": false, "mirror/4.x/tcz/new": false, "old.iso/x": false} {
		if err := reads.Allow(t.Context(), Tree(filepath.Join(dir, name), "DIR", own)); (err == nil) != want {
			t.Errorf("files below %s: %v", name, err)
		}
	}
}

// TestLook: a folder that another process replaces meanwhile is read again.
func TestLook(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a/x", "")
	write(t, dir, "b/x", "")
	wrong := errors.New("wrong")
	times := 0
	err := Look(filepath.Join(dir, "a"), func(fs.FS) error {
		if times++; times > 1 {
			return nil
		}
		return errors.Join(wrong, os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "old")), os.Rename(filepath.Join(dir, "b"), filepath.Join(dir, "a")))
	})
	if err != nil || times != 2 {
		t.Errorf("%d times: %v", times, err)
	}
	if err := Look(filepath.Join(dir, "a"), func(fs.FS) error { return wrong }); !errors.Is(err, wrong) {
		t.Error(err)
	}
	if err := Look(filepath.Join(dir, "gone"), func(fs.FS) error { return wrong }); err != nil {
		t.Error(err)
	}
}

func TestMakeTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Symlink("target", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a/b/c", "link/", "link"} {
		if err := MakeTree(dir + "/" + name); err != nil {
			t.Error(err)
		}
	}
	if st, err := os.Lstat(filepath.Join(dir, "target")); err != nil || !st.IsDir() {
		t.Errorf("the link's target: %v", err)
	}
}
