package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mkbuild/internal/ui"
)

// plusExtensions are loaded from the CD of CorePlus.
func plusExtensions() []string { return []string{"bash", "dmidecode", "scsi-KERNEL"} }

// plus makes the edition that brings extensions along on the CD, in a folder cde that the boot code of
// that name loads. The 64-bit line has none.
func (m *mirror) plus(ctx context.Context) error {
	if m.port.modern {
		return nil
	}
	staged := filepath.Join(m.dir, ".plus")
	if err := m.stageISO(staged); err != nil {
		return err
	}
	if err := m.stageCDE(filepath.Join(staged, "cde")); err != nil {
		return fmt.Errorf("make CorePlus: %w", err)
	}
	menu := filepath.Join(staged, "boot/isolinux/isolinux.cfg")
	text, err := os.ReadFile(menu)
	if err != nil {
		return fmt.Errorf("make CorePlus: %w", err)
	}
	if err := os.WriteFile(menu, []byte(strings.ReplaceAll(string(text), "core.gz quiet", "core.gz quiet cde")), 0o644); err != nil {
		return fmt.Errorf("make CorePlus: %w", err)
	}
	name := "CorePlus-" + m.release + ".iso"
	m.sink.Event(ui.Event{Level: ui.Info, Step: "iso", Item: name, Text: "writing"})
	if err := m.makeISO(ctx, staged, m.path("release", name)); err != nil {
		return err
	}
	if err := os.RemoveAll(staged); err != nil {
		return fmt.Errorf("make CorePlus: %w", err)
	}
	return writeMD5(m.path("release", name))
}

// stageCDE lays out cde: onboot.lst, and the extensions in it with all that they need.
func (m *mirror) stageCDE(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "optional"), 0o755); err != nil {
		return err
	}
	byName := make(map[string]*extension)
	for _, x := range m.table() {
		byName[x.name] = x
	}
	list := ""
	for _, name := range plusExtensions() {
		list += m.fileName(name) + "\n"
		for _, need := range append(dependencies(name, byName), name) {
			if err := m.linkExtension(filepath.Join(dir, "optional"), m.fileName(need)); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(dir, "onboot.lst"), []byte(list), 0o644)
}

// linkExtension puts an extension of the mirror with its .md5.txt and .dep into dir.
func (m *mirror) linkExtension(dir, file string) error {
	for _, suffix := range []string{"", ".md5.txt", ".dep"} {
		err := os.Link(m.path("tcz", file+suffix), filepath.Join(dir, file+suffix))
		if err != nil && !os.IsExist(err) && !(suffix == ".dep" && os.IsNotExist(err)) {
			return err
		}
	}
	return nil
}
