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
	name    string   // modprobe's form: "virtio_net"
	path    string   // below lib/modules/<k>/: "kernel/drivers/net/virtio_net.ko"
	depends []string // names
	aliases []string
	host    string
	packed  []byte // compressed, after the first use
}

// kernel is a kernel package and its modules by name.
type kernel struct {
	release string // uname -r
	pkg     string
	version string // of the package
	byName  map[string]*module
	builtin map[string]bool // names of built-in modules
	// Of a series: the modules of core.gz, and names in it and in the extensions made so far.
	core    []*module
	shipped map[string]bool
}

// forSeries returns a series' kernel before there are extensions.
func (k *kernel) forSeries() (*kernel, error) {
	own := *k
	own.shipped = make(map[string]bool)
	var err error
	own.core, err = k.selectModules(coreModules())
	for _, mod := range own.core {
		own.shipped[mod.name] = true
	}
	return &own, err
}

// readKernel finds the kernel package's modules without reading them.
func readKernel(p *pool) (*kernel, error) {
	k := &kernel{byName: make(map[string]*module), builtin: make(map[string]bool)}
	for _, n := range p.names() {
		if release, ok := strings.CutPrefix(n, "linux-image-"); ok {
			k.pkg, k.release, k.version = n, release, p.version(n)
		}
	}
	dir := path.Join("lib/modules", k.release)
	names, err := p.files(k.pkg, dir)
	if err != nil {
		return nil, fmt.Errorf("read kernel modules: %w", err)
	}
	for _, name := range names {
		host := filepath.Join(p.roots[k.pkg], filepath.FromSlash(path.Join(dir, name)))
		if name == "modules.builtin" {
			if err := k.readBuiltin(host); err != nil {
				return nil, err
			}
		}
		if path.Ext(name) != ".ko" {
			continue
		}
		k.byName[moduleName(name)] = &module{name: moduleName(name), path: name, host: host}
	}
	if len(k.byName) == 0 {
		return nil, fmt.Errorf("read kernel modules: %s holds none", k.pkg)
	}
	return k, nil
}

// fileName puts the kernel's name into an extension's name.
func (k *kernel) fileName(name string) string {
	if base, ok := strings.CutSuffix(name, "-KERNEL"); ok {
		name = base + "-" + k.release
	}
	return name + ".tcz"
}

// fill adds modules that core.gz lacks, with their dependencies.
func (k *kernel) fill(b *builder, patterns []string) {
	selected, err := k.selectModules(patterns)
	for _, mod := range selected {
		if err == nil && !k.shipped[mod.name] {
			k.shipped[mod.name] = true
			err = mod.put(b, path.Join("usr/local/lib/modules", k.release))
		}
	}
	if err != nil {
		b.fail(err)
	}
}

// readBuiltin records the names in modules.builtin: choosing one of them needs no file.
func (k *kernel) readBuiltin(host string) error {
	b, err := os.ReadFile(host)
	if err != nil {
		return fmt.Errorf("read kernel modules: %w", err)
	}
	for _, line := range strings.Fields(string(b)) {
		k.builtin[moduleName(line)] = true
	}
	return nil
}

// moduleName turns a module's path into its modprobe name.
func moduleName(p string) string {
	return strings.ReplaceAll(strings.TrimSuffix(path.Base(p), ".ko"), "-", "_")
}

// selectModules returns the modules that match patterns and all their dependencies, sorted by path. A pattern is a
// directory ("kernel/drivers/scsi/", everything below it) or a name ("virtio_net").
func (k *kernel) selectModules(patterns []string) ([]*module, error) {
	chosen := make(map[string]*module)
	var todo []string
	for _, pat := range patterns {
		hits := k.match(pat)
		if len(hits) == 0 && !k.builtin[pat] {
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
		mod := k.byName[name]
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

func (k *kernel) match(pattern string) []string {
	if !strings.HasSuffix(pattern, "/") {
		if k.byName[pattern] == nil {
			return nil
		}
		return []string{pattern}
	}
	var out []string
	for name, mod := range k.byName {
		if strings.HasPrefix(mod.path, pattern) {
			out = append(out, name)
		}
	}
	return out
}

// read fills in the data of the module's .modinfo section.
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

// parseModinfo reads depends= and alias= of a .modinfo section: NUL-terminated key=value.
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

// put adds the module as in Tiny Core: gzip'd, below dir. Several series may use it.
func (mod *module) put(b *builder, dir string) error {
	if mod.packed == nil {
		content, err := os.ReadFile(mod.host)
		if err != nil {
			return fmt.Errorf("read module %s: %w", mod.name, err)
		}
		if mod.packed, err = gzipped(content); err != nil {
			return fmt.Errorf("compress module %s: %w", mod.name, err)
		}
	}
	b.put(overlay.File(path.Join(dir, mod.path+".gz"), 0o644, mod.packed))
	return b.err
}

// gzipped compresses b without a name or a time in the header.
func gzipped(b []byte) ([]byte, error) {
	return bytesOf(func(w io.Writer) error {
		z := gzip.NewWriter(w)
		if _, err := z.Write(b); err != nil {
			return err
		}
		return z.Close()
	})
}

// depmod writes modules.dep and modules.alias for a selection, like depmod: all dependencies of a module on its
// line, dependents first.
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

// closure lists the direct and indirect dependencies of mod, dependents before dependencies.
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
