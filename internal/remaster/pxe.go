package remaster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/wholefile"
)

// source is a file to be handed out, and what it is in a manifest.
type source struct {
	name, role string
	open       func() (io.ReadCloser, error)
}

// bootSources are the kernel and the initrds under the names that they have in the ISO, the remade
// one among them.
func (s *Staged) bootSources(rd *Initrd) []source {
	names := pxeNames(append([]string{s.base.Kernel}, s.base.Initrds...))
	out := []source{{names[0], manifest.RoleKernel, func() (io.ReadCloser, error) { return s.base.Open(s.base.Kernel) }}}
	for i, p := range s.base.Initrds {
		open := func() (io.ReadCloser, error) { return s.base.Open(p) }
		if p == s.base.Initrd() {
			open = rd.Open
		}
		out = append(out, source{names[i+1], manifest.RoleInitrd, open})
	}
	return out
}

// pxeNames are file names for paths: the last part, of letters that TFTP servers, URLs and boot
// scripts all take as they are, and no two alike.
func pxeNames(paths []string) []string {
	var out []string
	taken := []string{medium.PXEScript, path.Dir(medium.PXEMenu), medium.PXEManifest, medium.PXESums}
	for _, p := range paths {
		name := strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._+-", r) {
				return r
			}
			return '_'
		}, path.Base(p))
		for slices.ContainsFunc(taken, func(t string) bool { return strings.EqualFold(t, name) }) {
			name += "_"
		}
		taken = append(taken, name)
		out = append(out, name)
	}
	return out
}

// writePXE writes the folder for a network boot server.
func (b *Builder) writePXE(ctx context.Context, s *Staged, rd *Initrd, name string) error {
	defer b.step("pxe")()
	if err := CheckPXEFolder(name); err != nil {
		return err
	}
	files := s.bootSources(rd)
	texts, err := bootTexts(files, s.kernelArgs())
	if err != nil {
		return err
	}
	return wholefile.Folder(name, func(dir string) error {
		return finishFolder(ctx, dir, append(files, texts...), func(boot []manifest.BootFile) ([]byte, error) {
			return b.describe(s, rd, boot)
		})
	})
}

// finishFolder writes the files of a PXE folder, what describe says of them, and their checksums.
func finishFolder(ctx context.Context, dir string, files []source, describe func([]manifest.BootFile) ([]byte, error)) error {
	written, err := fillFolder(ctx, dir, files)
	if err != nil {
		return err
	}
	about, err := describe(slices.Clone(written))
	if err != nil {
		return err
	}
	if about != nil {
		last, err := fillFolder(ctx, dir, []source{textSource(medium.PXEManifest, "", string(about))})
		if err != nil {
			return err
		}
		written = append(written, last...)
	}
	_, err = fillFolder(ctx, dir, []source{textSource(medium.PXESums, "", sumLines(written))})
	return err
}

// bootTexts are the boot scripts of a PXE folder.
func bootTexts(files []source, args string) ([]source, error) {
	if strings.Contains(args, "${") || slices.ContainsFunc(strings.Fields(args), func(a string) bool { return a == "||" || a == "&&" }) {
		return nil, config.Mistake("boot.append", fmt.Sprintf("iPXE gives the kernel arguments %q a meaning of its own, and cannot be told not to", args), "leave ${, || and && out of the kernel arguments, or build without the form pxe")
	}
	return []source{
		textSource(medium.PXEScript, manifest.RoleMenu, ipxeScript(files, args)),
		textSource(medium.PXEMenu, manifest.RoleMenu, pxelinuxMenu(files, args)),
	}, nil
}

func textSource(name, role, content string) source {
	return source{name, role, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}
}

// ipxeScript boots the folder's files by iPXE: names are relative to the script's own URL. The
// kernel's own UEFI stub finds its initrds by initrd=; a BIOS boot passes over that.
func ipxeScript(files []source, args string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "#!ipxe\nkernel %s", files[0].name)
	for _, f := range files[1:] {
		fmt.Fprintf(&out, " initrd=%s", f.name)
	}
	fmt.Fprintf(&out, "%s || goto error\n", spaced(args))
	for _, f := range files[1:] {
		fmt.Fprintf(&out, "initrd %s || goto error\n", f.name)
	}
	out.WriteString("boot || goto error\n\n:error\necho The microkernel did not boot: trying again in 30 seconds\nsleep 30\nreboot\n")
	return out.String()
}

// pxelinuxMenu boots them by PXELINUX: names are relative to the folder of pxelinux.0.
func pxelinuxMenu(files []source, args string) string {
	initrds := make([]string, 0, len(files)-1)
	for _, f := range files[1:] {
		initrds = append(initrds, f.name)
	}
	return fmt.Sprintf("DEFAULT microkernel\nPROMPT 0\nLABEL microkernel\n\tKERNEL %s\n\tAPPEND initrd=%s%s\n", files[0].name, strings.Join(initrds, ","), spaced(args))
}

func spaced(args string) string {
	if args == "" {
		return ""
	}
	return " " + args
}

// fillFolder writes files and describes them.
func fillFolder(ctx context.Context, dir string, files []source) ([]manifest.BootFile, error) {
	var out []manifest.BootFile
	for _, f := range files {
		sum := sha256.New()
		n, err := fillFile(ctx, filepath.Join(dir, filepath.FromSlash(f.name)), f, sum)
		if err != nil {
			return nil, err
		}
		out = append(out, manifest.BootFile{Path: f.name, Role: f.role, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))})
	}
	return out, nil
}

// sumLines are the lines that sha256sum -c checks.
func sumLines(files []manifest.BootFile) string {
	slices.SortFunc(files, func(a, b manifest.BootFile) int { return strings.Compare(a.Path, b.Path) })
	var out strings.Builder
	for _, f := range files {
		fmt.Fprintf(&out, "%s  %s\n", f.SHA256, f.Path)
	}
	return out.String()
}

// fillFile writes one file of a folder that nobody sees yet, readable by everybody.
func fillFile(ctx context.Context, name string, from source, sum hash.Hash) (int64, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return 0, err
	}
	r, err := from.open()
	if err != nil {
		return 0, err
	}
	defer r.Close() //nolint:errcheck // only read
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(io.MultiWriter(interruptible{ctx, f}, sum), r)
	return n, errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
}

// folderError is the error of a folder that a PXE form would replace and that holds more than such a form.
func folderError(folder, file string) error {
	return fail.New(fail.Usage, fmt.Sprintf("write %s: it is there and holds %s, which is no part of a PXE folder made here", folder, file),
		"name another folder with -o, or remove this one")
}

// CheckPXEFolder refuses a folder that [Builder.Write] would have to remove with files that are not
// its own: those that its SHA256SUMS names are.
func CheckPXEFolder(name string) error {
	info, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return folderError(name, "no folder")
	}
	own := map[string]bool{medium.PXESums: true}
	sums, err := os.ReadFile(filepath.Join(name, medium.PXESums))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for line := range bytes.Lines(sums) {
		if _, file, ok := strings.Cut(strings.TrimRight(string(line), "\r\n"), "  "); ok {
			own[file] = true
		}
	}
	return filepath.WalkDir(name, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(name, p)
		if err == nil && !own[filepath.ToSlash(rel)] {
			err = folderError(name, rel)
		}
		return err
	})
}
