package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// configFile is the configuration that points mkbuild at the mirror. Its presence also marks a
// directory as a mirror that may be replaced.
const configFile = "mkbuild.yaml"

// documents writes the configuration and the README.
func (m *mirror) documents(context.Context) error {
	for name, text := range map[string]string{configFile: m.configText(), "README": m.readmeText()} {
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

func (m *mirror) configText() string {
	return fmt.Sprintf("# For the stand-in mirror beside this file (see README), not for Tiny Core Linux's own.\nrelease: %q\narch: x86\nmirrors:\n  - %q\n",
		m.options.release, m.out)
}

func (m *mirror) readmeText() string {
	return "STAND-IN for a Tiny Core Linux mirror, made by mkmirror out of Debian packages (kernel " + m.mods.kernel + ").\n"
}
