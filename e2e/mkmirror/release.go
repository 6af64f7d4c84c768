package main

import (
	"context"
	"crypto/md5" //nolint:gosec // the sum that Tiny Core's mirrors publish
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"mkbuild/internal/initrd"
	"mkbuild/internal/ui"
)

// releases makes the ISO under release/, and an older point release under archive/.
func (m *mirror) releases(ctx context.Context) error {
	staged := filepath.Join(m.dir, ".iso")
	if err := m.stageISO(staged); err != nil {
		return err
	}
	name := m.series.edition + "-" + m.series.release + ".iso"
	dir := m.path("release")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make ISO: %w", err)
	}
	iso := filepath.Join(dir, name)
	m.sink.Event(ui.Event{Level: ui.Info, Step: "iso", Item: name, Text: "writing"})
	if err := m.makeISO(ctx, staged, iso); err != nil {
		return err
	}
	if err := os.RemoveAll(staged); err != nil {
		return fmt.Errorf("make ISO: %w", err)
	}
	edition, older := m.series.edition, m.series.older
	if err := os.MkdirAll(m.path("archive", older), 0o755); err != nil {
		return fmt.Errorf("make ISO: %w", err)
	}
	for _, copied := range []string{m.path("release", edition+"-current.iso"), m.path("archive", older, edition+"-"+older+".iso")} {
		if err := os.Link(iso, copied); err != nil {
			return fmt.Errorf("make ISO: %w", err)
		}
		if err := writeMD5(copied); err != nil {
			return err
		}
	}
	return writeMD5(iso)
}

// path joins a path below DIR/<major>.x/<arch>.
func (m *mirror) path(parts ...string) string {
	return filepath.Join(append([]string{m.dir, m.series.folder(), m.series.arch}, parts...)...)
}

// stageISO lays out the files of a Core ISO.
func (m *mirror) stageISO(dir string) error {
	b := newBuilder(m.pool)
	b.take(m.kernels[0].pkg, "boot/vmlinuz-"+m.kernels[0].release, "boot/"+m.series.vmlinuz, 0o644)
	if err := m.packCore(); err != nil {
		return err
	}
	b.text("boot/"+m.series.initrd, 0o644, string(m.initrd))
	b.take("isolinux", "usr/lib/ISOLINUX/isolinux.bin", "boot/isolinux/isolinux.bin", 0o644)
	for _, name := range append([]string{"ldlinux.c32"}, m.series.c32...) {
		b.take("syslinux-common", "usr/lib/syslinux/modules/bios/"+name, "boot/isolinux/"+name, 0o644)
	}
	menu, err := embedded.ReadDir("files/" + m.series.menu)
	if err != nil {
		return fmt.Errorf("read embedded files: %w", err)
	}
	for _, f := range menu {
		b.embedded("files/"+m.series.menu+"/"+f.Name(), "boot/isolinux/"+f.Name(), 0o644)
	}
	if m.series.uefi {
		stageEFI(b)
	}
	t, err := b.done()
	if err != nil {
		return fmt.Errorf("make ISO: %w", err)
	}
	return stage(t, dir)
}

// packCore packs the initrd once for all ISOs of the series.
func (m *mirror) packCore() (err error) {
	if m.initrd == nil {
		m.initrd, err = bytesOf(func(w io.Writer) error { return initrd.WriteSegment(w, m.core, initrd.SegmentOptions{Level: 9}) })
	}
	return err
}

// makeISO runs the command line of Tiny Core's documentation with fixed times. With UEFI it adds a second boot
// entry, and the ISO also boots from disks.
func (m *mirror) makeISO(ctx context.Context, dir, out string) error {
	when := time.Unix(buildTime, 0).UTC().Format("20060102150405") + "00"
	args := []string{"-as", "mkisofs",
		"--modification-date=" + when, "--set_all_file_dates", when, "-l", "-J", "-r", "-V", "TC-custom",
		"-no-emul-boot", "-boot-load-size", "4", "-boot-info-table",
		"-b", "boot/isolinux/isolinux.bin", "-c", "boot/isolinux/boot.cat"}
	if m.series.uefi {
		args = append(args, "-isohybrid-mbr", filepath.Join(m.pool.roots["isolinux"], "usr/lib/ISOLINUX/isohdpfx.bin"),
			"-eltorito-alt-boot", "-e", efiImage, "-no-emul-boot", "-isohybrid-gpt-basdat")
	}
	cmd := exec.CommandContext(ctx, "xorriso", append(args, "-o", out, dir)...)
	cmd.Env = append(cmd.Environ(), "TZ=UTC", "LC_ALL=C", "SOURCE_DATE_EPOCH="+strconv.Itoa(buildTime))
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run xorriso: %w: %s", err, lastLines(string(text), 3))
	}
	return nil
}

// writeMD5 writes NAME.md5.txt next to a file, in md5sum's format.
func writeMD5(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("sum %s: %w", name, err)
	}
	defer f.Close() //nolint:errcheck // only read
	h := md5.New()  //nolint:gosec // see the import
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("sum %s: %w", name, err)
	}
	line := hex.EncodeToString(h.Sum(nil)) + "  " + filepath.Base(name) + "\n"
	if err := os.WriteFile(name+".md5.txt", []byte(line), 0o644); err != nil {
		return fmt.Errorf("sum %s: %w", name, err)
	}
	return nil
}
