package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mkbuild/internal/ui"
)

// plus makes the edition with extensions on the CD, if the series has one. They are in a folder cde, which the boot
// code of that name loads.
func (m *mirror) plus(ctx context.Context) error {
	if len(m.series.plus) == 0 {
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
	name := "CorePlus-" + m.series.release + ".iso"
	m.sink.Event(ui.Event{Level: ui.Info, Step: "iso", Item: name, Text: "writing"})
	if err := m.makeISO(ctx, staged, m.path("release", name)); err != nil {
		return err
	}
	if err := os.RemoveAll(staged); err != nil {
		return fmt.Errorf("make CorePlus: %w", err)
	}
	return writeMD5(m.path("release", name))
}

// stageCDE makes cde: onboot.lst and its extensions with all dependencies.
func (m *mirror) stageCDE(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "optional"), 0o755); err != nil {
		return err
	}
	_, byFile := m.table()
	list := ""
	for _, name := range m.series.plus {
		x := byFile[m.kernels[0].fileName(name)]
		list += x.file() + "\n"
		for _, need := range append(x.dependencies(byFile), x) {
			if err := m.linkExtension(filepath.Join(dir, "optional"), need.file()); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(dir, "onboot.lst"), []byte(list), 0o644)
}

// linkExtension links an extension of the mirror with its .md5.txt and .dep into dir.
func (m *mirror) linkExtension(dir, file string) error {
	for _, suffix := range []string{"", ".md5.txt", ".dep"} {
		err := os.Link(m.path("tcz", file+suffix), filepath.Join(dir, file+suffix))
		if err != nil && !os.IsExist(err) && !(suffix == ".dep" && os.IsNotExist(err)) {
			return err
		}
	}
	return nil
}
