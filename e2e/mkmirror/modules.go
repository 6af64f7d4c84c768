package main

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"mkbuild/internal/overlay"
)

// module is one kernel module of the kernel package.
type module struct {
	name    string   // as modprobe writes it: "virtio_net"
	path    string   // below lib/modules/<k>/: "kernel/drivers/net/virtio_net.ko"
	depends []string // names
	aliases []string
	host    string
}

// modules are all modules of the kernel package by name.
type modules struct {
	kernel  string // uname -r
	byName  map[string]*module
	builtin map[string]bool // names that are part of the kernel itself
}

// readModules finds the kernel package's modules without reading them.
func readModules(p *pool) (*modules, error) {
	pkg := ""
	for _, n := range p.names() {
		if strings.HasPrefix(n, "linux-image-") {
			pkg = n
		}
	}
	m := &modules{kernel: strings.TrimPrefix(pkg, "linux-image-"), byName: make(map[string]*module), builtin: make(map[string]bool)}
	dir := path.Join("lib/modules", m.kernel)
	names, err := p.files(pkg, dir)
	if err != nil {
		return nil, fmt.Errorf("read kernel modules: %w", err)
	}
	for _, name := range names {
		host := filepath.Join(p.roots[pkg], filepath.FromSlash(path.Join(dir, name)))
		if name == "modules.builtin" {
			if err := m.readBuiltin(host); err != nil {
				return nil, err
			}
		}
		if path.Ext(name) != ".ko" {
			continue
		}
		m.byName[moduleName(name)] = &module{name: moduleName(name), path: name, host: host}
	}
	if len(m.byName) == 0 {
		return nil, fmt.Errorf("read kernel modules: %s holds none", pkg)
	}
	return m, nil
}

// readBuiltin notes the names in modules.builtin: choosing one of them needs no file.
func (m *modules) readBuiltin(host string) error {
	b, err := os.ReadFile(host)
	if err != nil {
		return fmt.Errorf("read kernel modules: %w", err)
	}
	for _, line := range strings.Fields(string(b)) {
		m.builtin[moduleName(line)] = true
	}
	return nil
}

// moduleName turns a module's path into the name that modprobe uses.
func moduleName(p string) string {
	return strings.ReplaceAll(strings.TrimSuffix(path.Base(p), ".ko"), "-", "_")
}

// selectModules returns the modules that patterns choose and all that they depend on, sorted by
// path. A pattern is a directory ("kernel/drivers/scsi/", all below it) or a name ("virtio_net").
func (m *modules) selectModules(patterns []string) ([]*module, error) {
	chosen := make(map[string]*module)
	var todo []string
	for _, pat := range patterns {
		hits := m.match(pat)
		if len(hits) == 0 && !m.builtin[pat] {
			return nil, fmt.Errorf("choose kernel modules: nothing matches %q", pat)
		}
		todo = append(todo, hits...)
	}
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if chosen[name] != nil {
			continue
		}
		mod := m.byName[name]
		if mod == nil {
			return nil, fmt.Errorf("choose kernel modules: %q is missing", name)
		}
		if err := mod.read(); err != nil {
			return nil, err
		}
		chosen[name] = mod
		todo = append(todo, mod.depends...)
	}
	return sortModules(chosen), nil
}

func sortModules(set map[string]*module) []*module {
	out := make([]*module, 0, len(set))
	for _, mod := range set {
		out = append(out, mod)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].path < out[j].path })
	return out
}

func (m *modules) match(pattern string) []string {
	if !strings.HasSuffix(pattern, "/") {
		if m.byName[pattern] == nil {
			return nil
		}
		return []string{pattern}
	}
	var out []string
	for name, mod := range m.byName {
		if strings.HasPrefix(mod.path, pattern) {
			out = append(out, name)
		}
	}
	return out
}

// read fills in what the module says about itself in its .modinfo section.
func (mod *module) read() error {
	f, err := elf.Open(mod.host)
	if err != nil {
		return fmt.Errorf("read module %s: %w", mod.name, err)
	}
	defer f.Close() //nolint:errcheck // only read
	s := f.Section(".modinfo")
	if s == nil {
		return fmt.Errorf("read module %s: no .modinfo section", mod.name)
	}
	b, err := s.Data()
	if err != nil {
		return fmt.Errorf("read module %s: %w", mod.name, err)
	}
	mod.depends, mod.aliases = parseModinfo(b)
	return nil
}

// parseModinfo reads depends= and alias= out of a .modinfo section: NUL-terminated key=value.
func parseModinfo(b []byte) (depends, aliases []string) {
	for _, kv := range bytes.Split(b, []byte{0}) {
		k, v, _ := strings.Cut(string(kv), "=")
		switch k {
		case "depends":
			for _, d := range strings.Split(v, ",") {
				if d != "" {
					depends = append(depends, strings.ReplaceAll(d, "-", "_"))
				}
			}
		case "alias":
			aliases = append(aliases, v)
		}
	}
	return depends, aliases
}

// entry returns the module as Tiny Core stores it: gzip'd, below dir.
func (mod *module) entry(dir string) (overlay.Entry, error) {
	b, err := os.ReadFile(mod.host)
	if err != nil {
		return overlay.Entry{}, fmt.Errorf("read module %s: %w", mod.name, err)
	}
	z, err := gzipped(b)
	if err != nil {
		return overlay.Entry{}, fmt.Errorf("compress module %s: %w", mod.name, err)
	}
	return overlay.File(path.Join(dir, mod.path+".gz"), 0o644, z), nil
}

// gzipped compresses b without a name or a time in the header.
func gzipped(b []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(z, bytes.NewReader(b)); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// depmod writes modules.dep and modules.alias for a selection, as depmod would: all dependencies
// of a module on its line, those that need others first.
func depmod(selected []*module) (dep, alias []byte) {
	byName := make(map[string]*module)
	for _, mod := range selected {
		byName[mod.name] = mod
	}
	var d, a bytes.Buffer
	a.WriteString("# Aliases extracted from modules themselves.\n")
	for _, mod := range selected {
		d.WriteString(mod.path + ".gz:")
		for _, need := range closure(mod, byName) {
			d.WriteString(" " + need.path + ".gz")
		}
		d.WriteString("\n")
		for _, al := range mod.aliases {
			a.WriteString("alias " + al + " " + mod.name + "\n")
		}
	}
	return d.Bytes(), a.Bytes()
}

// closure lists what mod depends on, directly and indirectly, dependents before dependencies.
func closure(mod *module, byName map[string]*module) []*module {
	var order []*module
	seen := map[string]bool{mod.name: true}
	var visit func(m *module)
	visit = func(m *module) {
		for _, name := range m.depends {
			if need := byName[name]; need != nil && !seen[name] {
				seen[name] = true
				visit(need)
				order = append(order, need)
			}
		}
	}
	visit(mod)
	for i, j := 0, len(order)-1; i < j; i, j = i+1, j-1 {
		order[i], order[j] = order[j], order[i]
	}
	return order
}
