package inspect

import (
	"cmp"
	"context"
	"path"
	"regexp"
	"strings"

	"mkbuild/internal/cmdline"
	"mkbuild/internal/initrd"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/medium"
)

// Forms that Razor's image service accepts: it sorts iso_version by numbers of three digits, and needs a YAML
// timestamp in iso_build_time.
var (
	razorVersion = regexp.MustCompile(`^(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2}))*$`)
	razorTime    = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}( |T)`)
)

// checkMetadata checks iso-metadata.yaml against the files that it names.
func checkMetadata(_ context.Context, m *Image, f findings) error {
	if m.Medium == nil || m.Medium.Files.Get(metadataName) == nil {
		return nil
	}
	at := mediumPrefix + metadataName
	meta := metadata(m.Medium.Files)
	if meta == nil {
		f.add(ruleMetadataForm, at, "it is not a YAML mapping")
		return nil
	}
	for _, key := range []string{"iso_version", "kernel", "initrd", "hash_description", "kernel_hash", "initrd_hash", "iso_build_time"} {
		if s, text := meta[key].(string); meta[key] == nil || text && s == "" {
			f.add(ruleMetadataForm, at, "it has no %s", key)
		}
	}
	text := func(key string) string { s, _ := meta[key].(string); return s }
	if v := text("iso_version"); v != "" && !razorVersion.MatchString(v) {
		f.add(ruleMetadataForm, at, "iso_version %.40q cannot be sorted", v)
	}
	if v := text("iso_build_time"); v != "" && !razorTime.MatchString(v) {
		f.add(ruleMetadataForm, at, "iso_build_time %.40q is not a timestamp", v)
	}
	hash, _ := meta["hash_description"].(map[string]string)
	if hash != nil && (hash["type"] != "Digest::SHA2" || hash["bitlen"] != "256") {
		f.add(ruleMetadataForm, at, "the hashes are %s of %s bits; mkbuild knows only Digest::SHA2 of 256", hash["type"], hash["bitlen"])
		return nil
	}
	return checkHashes(m, text, f)
}

func checkHashes(m *Image, text func(string) string, f findings) error {
	at := mediumPrefix + metadataName
	for _, what := range []string{"kernel", "initrd"} {
		name, want := text(what), text(what+"_hash")
		if name == "" || want == "" {
			continue
		}
		file := m.Medium.Files.Get(strings.TrimPrefix(name, "/"))
		if file == nil || !file.IsRegular() {
			f.add(ruleMetadataHash, at, "there is no %s %s", what, name)
			continue
		}
		sum, err := m.sum(file.Path)
		if err != nil {
			return err
		}
		if sum != want {
			f.add(ruleMetadataHash, at, "%s_hash is %s, but %s has %s", what, want, name, sum)
		}
	}
	return nil
}

// checkBoot checks the files of firmware and boot loaders.
func checkBoot(ctx context.Context, m *Image, f findings) error {
	checkModules(m, f)
	if m.Medium == nil {
		return nil
	}
	if err := checkPacking(ctx, m, f); err != nil {
		return err
	}
	iso := m.Medium.ISO
	if len(iso.Boot) == 0 && m.Kind == KindISO {
		f.add(ruleBootNothing, "", "there is no El Torito entry")
	}
	for i := range iso.Boot {
		if err := checkTable(iso, &iso.Boot[i], f); err != nil {
			return err
		}
	}
	if m.Medium.Kernel == "" {
		f.add(ruleBootNothing, "", "no menu has an entry that boots a kernel with an initrd")
	}
	for _, d := range medium.TooLong(m.Medium) {
		f.add(ruleBootArguments, mediumPrefix+d.Menu, "%s", d.InMenu())
	}
	for _, d := range m.Medium.Doubts {
		f.add(ruleBootUnclear, mediumPrefix+d.Menu, "%s", d.InMenu())
	}
	for _, e := range m.Medium.Entries {
		for _, name := range e.Missing {
			add := f.warn
			if e.First {
				add = f.add
			}
			add(ruleBootFiles, mediumPrefix+e.Menu, "the entry %s names %s", cmp.Or(e.Name, "(no name)"), name)
		}
	}
	return nil
}

func checkTable(iso *iso9660.Image, e *iso9660.BootEntry, f findings) error {
	base := strings.ToLower(path.Base(e.Path))
	if !e.InfoTable && e.Platform == iso9660.PlatformBIOS && strings.HasPrefix(base, "isolinux") {
		f.add(ruleBootTable, mediumPrefix+e.Path, "it is missing, or differs from the boot catalog")
		return nil
	}
	wrong, err := iso.CheckTables(e)
	if wrong != "" {
		f.add(ruleBootTable, mediumPrefix+e.Path, "%s", wrong)
	}
	return err
}

// checkModules looks for the missing modules that leave a booting machine waiting forever.
func checkModules(m *Image, f findings) {
	if m.Kernel == "" || m.Tree == nil || m.Tree.Get("lib/modules/"+m.Kernel) != nil ||
		cmdline.Has(m.Medium.Arguments, "nozswap") {
		return
	}
	if m.Tree.Get("sbin/tc-config") == nil && m.Tree.Get("etc/init.d/tc-config") == nil && len(m.Tree.Children("lib/modules")) == 0 {
		return // not Tiny Core, or a kernel that needs no modules
	}
	f.add(ruleKernelModules, "lib/modules/"+m.Kernel, "it is missing")
}

// checkPacking checks the initrd's compression against the kernel's decompressors.
func checkPacking(_ context.Context, m *Image, f findings) error {
	seen := map[string]bool{}
	for _, s := range m.Segments {
		if seen[s.Packing] || m.Medium.Kernel == "" {
			continue
		}
		seen[s.Packing] = true
		r, err := m.Medium.Open(m.Medium.Kernel)
		if err != nil {
			return err
		}
		ok, err := initrd.KernelUnpacks(r, s.Packing)
		r.Close() //nolint:errcheck,gosec // only read
		at := mediumPrefix + m.Medium.LastInitrd()
		switch {
		case err != nil:
			f.warn(ruleInitrdPacking, at, "it is packed with %s: %v", s.Packing, err)
		case !ok:
			f.add(ruleInitrdPacking, at, "it is packed with %s, which the kernel %s cannot unpack", s.Packing, m.Kernel)
		}
	}
	return nil
}
