package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// report is the part of `mkbuild inspect --json` that these tests read.
type report struct {
	Kernel struct{ Path, Release, SHA256 string }
	Initrd struct {
		Paths    []string
		Segments []struct{ Offset, Size int64 }
	}
	Files    []struct{ Path string }
	Accounts []struct{ Name, Password string }
}

func (f fixture) inspect(t *testing.T, name string) report {
	t.Helper()
	stdout, stderr, err := f.run(t, "inspect", "--json", "--files", name)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	var r report
	testkit.Must(t, json.Unmarshal([]byte(stdout), &r))
	return r
}

// TestLookIntoRealImages compares inspect with xorriso and GNU cpio, on the mirror's stock ISO, on an image built
// from it and on the stock ISO's files packed by xorriso. It also compares the built image with its manifest and
// with a second build.
func TestLookIntoRealImages(t *testing.T) {
	t.Parallel()
	f := setup(t)
	built := f.image(t, with(""))
	stock := filepath.Join(f.mirror, "4.x/x86/release/Core-4.5.2.iso")
	dir, other := t.TempDir(), filepath.Join(t.TempDir(), "other.iso")
	testkit.Run(t, "xorriso", "-osirrox", "on", "-indev", "stdio:"+stock, "-extract", "/", dir+"/tree")
	testkit.Run(t, "chmod", "-R", "u+w", dir)
	testkit.Run(t, "xorriso", "-as", "mkisofs", "-R", "-J", "-V", "OTHER", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table",
		"-b", "boot/isolinux/isolinux.bin", "-c", "boot/isolinux/boot.cat", "-quiet", "-o", "stdio:"+other, dir+"/tree")
	for what, name := range map[string]string{"built": built, "stock": stock, "xorriso's": other} {
		r := f.inspect(t, name)
		if want := cpioNames(t, name, r); !slices.Equal(paths(r), want) {
			t.Errorf("%s: %d files, cpio lists %d", what, len(r.Files), len(want))
		}
		if open := len(r.Accounts) > 0; open != (what != "built") {
			t.Errorf("%s: accounts %+v", what, r.Accounts)
		}
		if stdout, stderr, err := f.run(t, "verify", name); err != nil || !strings.Contains(stdout, " 0 errors, ") {
			t.Errorf("%s: %v\n%s%s", what, err, stdout, stderr)
		}
	}
	cfg := filepath.Join(filepath.Dir(built), "mkbuild.yaml")
	if stdout, stderr, err := f.run(t, "verify", "--rebuild", built, "--config", cfg, "--cache-dir", filepath.Join(f.dir, "cache"), "--offline"); err != nil || !strings.Contains(stdout, "the same bytes") {
		t.Errorf("%v\n%s%s", err, stdout, stderr)
	}
	if stdout, _, err := f.run(t, "diff", stock, other); err == nil || !strings.HasPrefix(stdout, "- changed volume `id`") || strings.Contains(stdout, "file") {
		t.Errorf("%v\n%s", err, stdout)
	}
}

func paths(r report) []string {
	var out []string
	for _, f := range r.Files {
		out = append(out, f.Path)
	}
	sort.Strings(out)
	return out
}

// cpioNames extracts the initrd with xorriso and lists its segments with GNU cpio.
func cpioNames(t *testing.T, name string, r report) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "initrd")
	testkit.Run(t, "xorriso", "-osirrox", "on", "-indev", "stdio:"+name, "-extract", "/"+r.Initrd.Paths[0], file)
	all, err := os.ReadFile(file)
	testkit.Must(t, err)
	var names []string
	for _, s := range r.Initrd.Segments {
		z, err := gzip.NewReader(bytes.NewReader(all[s.Offset : s.Offset+s.Size]))
		testkit.Must(t, err)
		plain, err := io.ReadAll(z)
		testkit.Must(t, err)
		cmd := exec.CommandContext(t.Context(), testkit.Tool(t, "cpio"), "-it", "--quiet")
		cmd.Stdin = bytes.NewReader(plain)
		out, err := cmd.Output()
		testkit.Must(t, err)
		names = append(names, strings.Split(strings.TrimSpace(string(out)), "\n")...)
	}
	sort.Strings(names)
	return slices.Compact(names)
}
