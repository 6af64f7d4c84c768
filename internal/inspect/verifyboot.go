package inspect

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"mkbuild/internal/iso9660"
)

// Forms that Razor's image service takes (its iso_version sorts numbers of three digits, and its
// iso_build_time has to be a YAML timestamp).
var (
	razorVersion = regexp.MustCompile(`^(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2}))*$`)
	razorTime    = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}( |T)`)
)

// checkMetadata holds iso-metadata.yaml against the files that it names.
func checkMetadata(j *judge) error {
	if j.Medium == nil || j.Medium.Files.Get(metadataName) == nil {
		return nil
	}
	at := isoPrefix + metadataName
	meta := j.metadata()
	if meta == nil {
		j.add(ruleMetadataForm, at, "it is no YAML mapping")
		return nil
	}
	for _, key := range []string{"iso_version", "kernel", "initrd", "hash_description", "kernel_hash", "initrd_hash", "iso_build_time"} {
		if s, text := meta[key].(string); meta[key] == nil || text && s == "" {
			j.add(ruleMetadataForm, at, "it has no %s", key)
		}
	}
	text := func(key string) string { s, _ := meta[key].(string); return s }
	if v := text("iso_version"); v != "" && !razorVersion.MatchString(v) {
		j.add(ruleMetadataForm, at, "iso_version %.40q cannot be sorted", v)
	}
	if v := text("iso_build_time"); v != "" && !razorTime.MatchString(v) {
		j.add(ruleMetadataForm, at, "iso_build_time %.40q is no timestamp", v)
	}
	hash, _ := meta["hash_description"].(map[string]any)
	if hash != nil && (hash["type"] != "Digest::SHA2" || hash["bitlen"] != "256") {
		j.add(ruleMetadataForm, at, "the hashes are %v of %v bits, mkbuild knows Digest::SHA2 of 256", hash["type"], hash["bitlen"])
		return nil
	}
	return j.checkHashes(at, text)
}

func (j *judge) checkHashes(at string, text func(string) string) error {
	for _, what := range []string{"kernel", "initrd"} {
		name, want := text(what), text(what+"_hash")
		if name == "" || want == "" {
			continue
		}
		f := j.Medium.Files.Get(strings.TrimPrefix(name, "/"))
		if f == nil || !f.IsRegular() {
			j.add(ruleMetadataHash, at, "there is no %s %s", what, name)
			continue
		}
		sum, err := j.sumFile(f)
		if err != nil {
			return err
		}
		if sum != want {
			j.add(ruleMetadataHash, at, "%s_hash is %s, that of %s is %s", what, want, name, sum)
		}
	}
	return nil
}

// checkBoot looks at what firmware and boot loaders find.
func checkBoot(j *judge) error {
	if j.Medium == nil {
		return j.checkModules()
	}
	if len(j.ISO.Boot) == 0 && j.Kind == KindISO {
		j.add(ruleBootNothing, "", "there is no El Torito entry")
	}
	for i := range j.ISO.Boot {
		if err := j.checkTable(&j.ISO.Boot[i]); err != nil {
			return err
		}
	}
	if j.Medium.Kernel == "" {
		j.add(ruleBootNothing, "", "no menu has an entry that boots a kernel with an initrd")
	}
	for _, e := range j.Medium.Entries {
		for _, f := range e.Missing {
			j.add(ruleBootFiles, isoPrefix+e.Menu, "the entry %s names %s", named(e.Name, "(no name)"), f)
		}
	}
	return j.checkModules()
}

func (j *judge) checkTable(e *iso9660.BootEntry) error {
	base := strings.ToLower(path.Base(e.Path))
	if !e.InfoTable && e.Platform == iso9660.PlatformBIOS && strings.HasPrefix(base, "isolinux") {
		j.add(ruleBootTable, isoPrefix+e.Path, "it has none, or one that names another place than the boot catalog")
		return nil
	}
	wrong, err := j.ISO.CheckTables(e)
	if wrong != "" {
		j.add(ruleBootTable, isoPrefix+e.Path, "%s", wrong)
		return nil
	}
	return err
}

// checkModules looks for the trap that leaves a booting machine waiting for ever.
func (j *judge) checkModules() error {
	if j.Kernel == "" || j.Tree == nil || j.Tree.Get("lib/modules/"+j.Kernel) != nil ||
		slices.Contains(strings.Fields(j.Medium.Arguments), "nozswap") {
		return nil
	}
	if j.Tree.Get("sbin/tc-config") == nil && j.Tree.Get("etc/init.d/tc-config") == nil && len(j.Tree.Children("lib/modules")) == 0 {
		return nil // no Tiny Core, or a kernel that needs no modules
	}
	j.add(ruleKernelModules, "lib/modules/"+j.Kernel, "it is missing")
	return nil
}
