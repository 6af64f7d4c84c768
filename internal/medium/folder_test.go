package medium

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/bootmenu"
	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
	"mkbuild/internal/wholefile"
)

// folderOf is a PXE folder of a kernel and initrds with these paths.
func folderOf(t *testing.T, args, kernel string, initrds ...string) *Medium {
	t.Helper()
	var all []overlay.Entry
	for _, p := range initrds {
		all = append(all, overlay.File(p, 0o644, []byte("content of "+p)))
	}
	m, err := NewFolder(overlay.File(kernel, 0o644, tinymirror.VMLinuz(tinymirror.Kernel)), all, args)
	testkit.Must(t, err)
	return m
}

func TestFolderThereAndBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pxe")
	made := folderOf(t, "quiet", "boot/vmlinuz", "boot/core.gz", "more/CORE.gz", "a b/ü;x y.gz", "boot.ipxe")
	testkit.Must(t, made.Write(t.Context(), wholefile.Output{Name: dir}))
	m, err := OpenFolder(dir)
	testkit.Must(t, err)
	if want := []string{"core.gz", "CORE.gz_", "__x_y.gz", "boot.ipxe_"}; m.Kernel != "vmlinuz" || !slices.Equal(m.Initrds, want) || m.Arguments != "quiet" {
		t.Errorf("boots %s with %q and %q, want %q", m.Kernel, m.Initrds, m.Arguments, want)
	}
	if release, err := m.KernelRelease(); err != nil || release != tinymirror.Kernel {
		t.Errorf("kernel %q, %v", release, err)
	}
	var loaders []string
	for _, e := range m.Entries {
		loaders = append(loaders, e.Loader)
		if len(e.Missing) > 0 {
			t.Errorf("%s: missing %q", e.Loader, e.Missing)
		}
	}
	if got := strings.Join(loaders, " "); got != "pxelinux ipxe" {
		t.Errorf("menus of %s", got)
	}
	if wrong := m.WrongSums(); len(wrong) > 0 {
		t.Errorf("wrong: %q", wrong)
	}
	edited, err := m.Edit(bootmenu.Edit{Append: "site=1"}, 0)
	if err == nil {
		err = edited.Write(t.Context(), wholefile.Output{Name: dir}) // in the original place
	}
	testkit.Must(t, err)
	if m, err = OpenFolder(dir); err != nil || len(m.WrongSums()) > 0 {
		t.Fatal(err, m.WrongSums())
	}
	for _, e := range m.Entries {
		if !strings.HasSuffix(e.Append, " quiet site=1") {
			t.Errorf("%s: %q", e.Loader, e.Append)
		}
	}
}

func TestWrongSums(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pxe")
	testkit.Must(t, folderOf(t, "", "vmlinuz", "core.gz").Write(t.Context(), wholefile.Output{Name: dir}))
	wrong := func() string {
		m, err := OpenFolder(dir)
		testkit.Must(t, err)
		return strings.Join(m.WrongSums(), " ")
	}
	change := func(name, text string) { testkit.Put(t, filepath.Join(dir, name), []byte(text)) }
	change("boot.ipxe", "#!ipxe\n")
	testkit.Must(t, os.Remove(filepath.Join(dir, "core.gz")))
	if got := wrong(); got != "boot.ipxe core.gz" {
		t.Errorf("wrong: %s", got)
	}
	for _, text := range []string{"", "nonsense\n", "0  ../outside\n"} {
		change(PXESums, text)
		if got, want := wrong(), map[string]string{"nonsense\n": PXESums, "0  ../outside\n": "../outside"}[text]; got != want {
			t.Errorf("%q: wrong %q, want %q", text, got, want)
		}
	}
}

func TestFoldersThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenFolder(dir); !errors.Is(err, ErrNotPXEFolder) || !strings.Contains(err.Error(), "it has no pxelinux.cfg/default") {
		t.Errorf("an empty folder: %v", err)
	}
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "mine.txt"), nil, 0o600))
	m := folderOf(t, "", "vmlinuz", "core.gz")
	for name, want := range map[string]string{dir: "mine.txt, which is not part of a PXE folder made by mkbuild", filepath.Join(dir, "mine.txt"): "not a folder"} {
		if err := m.Write(t.Context(), wholefile.Output{Name: name}); fail.ClassOf(err) != fail.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewFolder(overlay.File("k", 0, nil), nil, "a ${b}"); fail.ClassOf(err) != fail.Usage {
		t.Errorf("an argument that means something to iPXE: %v", err)
	}
}
