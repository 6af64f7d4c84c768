package inspect

import (
	"cmp"
	"fmt"
	"strings"

	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
)

// Severities of a rule.
const (
	SeverityError   = "error"   // the image is broken, or open where it should not be
	SeverityWarning = "warning" // look at this
)

// Rule is one check of [Image.Verify].
type Rule struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
	// About is the fault in one line.
	About string `json:"about"`
	// Why is its consequence, Fix its remedy.
	Why string `json:"why"`
	Fix string `json:"fix"`
}

// Names of the rules.
const (
	ruleManifestText    = "manifest-text"
	ruleManifestPlan    = "manifest-plan"
	ruleManifestFile    = "manifest-file"
	ruleManifestMedium  = "manifest-medium"
	ruleManifestSegment = "manifest-segment"
	rulePXESums         = "pxe-sums"
	ruleMetadataForm    = "metadata-form"
	ruleMetadataHash    = "metadata-hash"
	ruleBootTable       = "boot-info-table"
	ruleBootFiles       = "boot-files"
	ruleBootNothing     = "boot-nothing"
	ruleBootArguments   = "boot-arguments"
	ruleBootUnclear     = "boot-unclear"
	ruleKernelModules   = "kernel-modules"
	ruleInitrdPacking   = "initrd-packing"
	ruleDanglingLink    = "dangling-link"
	ruleMountLink       = "mount-link"
	ruleShadowMode      = "shadow-mode"
	ruleHostKey         = "host-key"
	ruleSampleSecret    = "sample-secret"
	ruleMissingLibrary  = "missing-library"
	ruleNotExecutable   = "not-executable"
	ruleDirectoryMode   = "directory-mode"
	ruleProdServer      = "prod-server"
	ruleProdOpen        = "prod-open"
	ruleOpenAccount     = "open-account"
	ruleUnsigned        = "unsigned-extensions"
)

// Rules lists all rules, in the order of their findings.
func Rules() []Rule {
	return append(manifestRules(), append(bootRules(), append(systemRules(), accessRules()...)...)...)
}

func manifestRules() []Rule {
	const again = "Do not use the image. Build it again, or fetch it again from where it was built, and compare with mkbuild diff."
	return []Rule{
		{ruleManifestText, SeverityError, "mkbuild cannot read the manifest in the image",
			"/mkbuild-manifest.json is damaged, was edited, or comes from another version of mkbuild. mkbuild cannot check the image against it.",
			"Verify it with the mkbuild that built it, or build it again."},
		{ruleManifestPlan, SeverityError, "the manifest contradicts itself",
			"The plan's digest does not match the manifest's configuration and inputs: somebody has edited it.", again},
		{ruleManifestFile, SeverityError, "a file of the booted system differs from the manifest",
			"The file, or its mode, owner or link target, was added, removed or changed after the build. Files with secrets have no digest in the manifest: mkbuild checks only their mode and owner.", again},
		{ruleManifestMedium, SeverityError, "a file of the medium differs from the manifest",
			"The kernel, the initrd, a boot menu or another file outside of the initrd was added, removed or changed after the build.",
			"To change kernel arguments, use mkbuild customize, which updates the manifest. Otherwise do not use the image."},
		{ruleManifestSegment, SeverityError, "a segment of the initrd differs from the manifest",
			"Its bytes have changed since the build. The files in it may be unchanged.", again},
	}
}

func bootRules() []Rule {
	return []Rule{
		{rulePXESums, SeverityError, "a file of a PXE folder differs from its SHA256SUMS",
			"It was partly copied, removed or changed after the folder was written. A machine does not boot what was built.",
			"Copy the folder again, or build it again. To change it, use mkbuild customize."},
		{ruleMetadataForm, SeverityError, "Razor's image service cannot use iso-metadata.yaml",
			"Razor needs iso_version, kernel, initrd, hash_description, kernel_hash, initrd_hash and iso_build_time, with hashes of 256 bits, a version of numbers between dots, and a YAML timestamp. Otherwise it refuses the image, or cannot sort it.",
			"Build the image with mkbuild iso, which writes the file."},
		{ruleMetadataHash, SeverityError, "a hash in iso-metadata.yaml does not match the kernel or the initrd",
			"Razor hashes the two files itself and refuses the image.",
			"Build the image again. A tool that replaces the initrd must write iso-metadata.yaml, too."},
		{ruleBootTable, SeverityError, "the boot loader's boot-info-table is wrong",
			"isolinux reads bytes 8 to 63 of isolinux.bin to find the rest of itself. The tool that writes an image must patch them. With a wrong table a machine stops at \"image checksum error\" or at nothing at all.",
			"Write the image with -boot-info-table, or with mkbuild."},
		{ruleBootFiles, SeverityError, "a boot menu names a file that is not on the medium",
			"Anyone who chooses the entry gets \"could not find kernel image\" and no boot. It is an error for the default entry, and a warning for others.",
			"Correct the entry, or add the file. Names without a leading slash are relative to the menu's folder."},
		{ruleBootNothing, SeverityError, "nothing on the medium boots",
			"There is no El Torito entry, or no menu entry boots a kernel with an initrd.",
			"Make it from a Tiny Core ISO with mkbuild iso."},
		{ruleBootArguments, SeverityError, "a kernel command line is longer than the boot loader or the kernel takes",
			"ISOLINUX hangs before its prompt if a label has more than some 1,950 bytes of arguments. An x86 kernel cuts its line, with the loader's additions, at 2,047 bytes.",
			"Shorten the arguments. Settings of mk-client can go to `client: settings` in mkbuild.yaml, or mkbuild customize --client-setting."},
		{ruleBootUnclear, SeverityWarning, "mkbuild cannot follow an entry of a boot menu",
			"The entry starts a boot sector, a module or a command with an unknown effect, or uses variables that are set elsewhere. It does not get mkbuild's kernel arguments, and a prod image must not have it.",
			"Leave the entry out of the source ISO."},
		{ruleInitrdPacking, SeverityError, "the kernel cannot unpack the initrd",
			"A kernel has only its configured decompressors: Tiny Core's 3.0 to 4.2 have only gzip and lzo. It panics on another compression. If a kernel does not list its decompressors, this is a warning.",
			"Build with `initrd: {layout: merged}`, which packs everything with gzip."},
		{ruleKernelModules, SeverityWarning, "the initrd has no modules for the kernel",
			"Tiny Core's boot script waits forever for /dev/zram0, which a module provides, unless it boots with the kernel argument nozswap; network cards have no drivers.",
			"Use kernel and initrd of the same release, or boot with nozswap."},
	}
}

func systemRules() []Rule {
	return []Rule{
		{ruleDanglingLink, SeverityWarning, "a symlink leads nowhere",
			"Opening it fails with \"No such file or directory\". Links below /proc, /sys, /dev and /var/run, and Tiny Core's own links to files made at boot, are not checked.",
			"Add its target, or leave the link out."},
		{ruleMountLink, SeverityError, "a symlink leads into an empty mount point below /tmp",
			"It was made while an extension was mounted there. In a booted image nothing is mounted, and the link leads nowhere.",
			"Put the file itself into the image with `pick` in mkbuild.yaml."},
		{ruleMissingLibrary, SeverityWarning, "a program needs a shared library that the image does not have",
			"It does not start: \"error while loading shared libraries\". mkbuild reads the ELF headers of every file. It does not know LD_LIBRARY_PATH set by scripts.",
			"Add the extension that has the library to `extensions` in mkbuild.yaml."},
		{ruleNotExecutable, SeverityError, "a program is not executable",
			"It is in PATH, or the boot starts it, but nobody may execute it: \"Permission denied\". It is an error for programs of the boot and for your own files, and a warning for others: stock Tiny Core has such files.",
			"Give it mode 0755. Zip archives and Windows file systems lose the bit."},
		{ruleDirectoryMode, SeverityError, "a directory does not have Tiny Core's mode or owner",
			"An archive in the image has changed a directory of the base. With /tmp not 1777, the user tc cannot write /tmp/setup.lst, and startup scripts of extensions do not run; with /opt not 2775 root:staff, tc cannot change what boots; with / open to others, anybody may replace the system. The source ISO's initrd, with which mkbuild's images begin, has the right ones.",
			"Build the image with mkbuild, which keeps the modes of the base, or leave directories out of the archive."},
	}
}

func accessRules() []Rule {
	return []Rule{
		{ruleShadowMode, SeverityError, "everybody can read the password file",
			"/etc/shadow holds password hashes, which any process of the machine could attack. In an image of another tool without password hashes, this is a warning.",
			"Give it mode 0640 or less."},
		{ruleHostKey, SeverityError, "the image contains an ssh host key",
			"All machines that boot it have the same key, and anyone who has the image can pretend to be any of them.",
			"Leave it out: an image of mkbuild makes its keys on the first boot."},
		{ruleSampleSecret, SeverityWarning, "MCollective uses the published sample psk or password",
			"Anybody who reaches the message broker can command the machines. mk-client does not start mcollectived with them, unless a setting allows it.",
			"Set plugin.psk and plugin.stomp.password under `mcollective: server:` in mkbuild.yaml, from {env: NAME} or {file: PATH}."},
		{ruleProdServer, SeverityError, "a prod image has a login server",
			"The profile prod promises that there is no way in. Any server counts: a program or a link with a server's name, one in an extension below /tmp/builtin or in a runtime extension, or a command of a boot script.",
			"Leave out the input that contains it, build with --profile dev, or name the file under `services: {allow: [...]}` in mkbuild.yaml."},
		{ruleProdOpen, SeverityError, "a prod image has a way in",
			"The profile prod promises that every account is locked, that no console starts a login or a shell, and that no kernel argument starts one instead of init. A missing or unreadable file that decides this is an error, too.",
			"Check `overlay` and `boot: append` in mkbuild.yaml: your own files replace all others. `boot: {allow_inittab: [...]}` allows lines of /etc/inittab. Or build with --profile dev."},
		{ruleOpenAccount, SeverityWarning, "an account has no password",
			"Stock Tiny Core's tc is such an account, and may become root: anyone at the console or at a login server gets root.",
			"Build the image with mkbuild, which locks all accounts, or lock it: replace the second field of /etc/shadow by *."},
		{ruleUnsigned, SeverityWarning, "a prod image accepts unsigned runtime extensions",
			"Anyone who answers mk-client's request, plain HTTP by default, can run programs as root on every machine.",
			"Name the public key under `extension_keys` in mkbuild.yaml and sign extensions with mkbuild extension sign; or turn them off: `client: {settings: {extend: off}}`."},
	}
}

// FindRule returns a rule by its name.
func FindRule(id string) (Rule, bool) {
	for _, r := range Rules() {
		if r.ID == id {
			return r, true
		}
	}
	return Rule{}, false
}

// RuleIDs lists the names of all rules.
func RuleIDs() []string {
	var out []string
	for _, r := range Rules() {
		out = append(out, r.ID)
	}
	return out
}

// Finding is one violation of a rule.
type Finding struct {
	Rule     string `json:"rule"`
	Severity string `json:"severity"`
	// Path is a path in the booted system, or "iso:" and a path of the medium; empty for the whole image.
	Path manifest.Text `json:"path,omitempty"`
	Text string        `json:"text"`
	// Origin is the file's origin in a planned image.
	Origin string `json:"origin,omitempty"`
}

func (f *Finding) line() string {
	where := ""
	if f.Path != "" {
		where = " " + when(!strings.HasPrefix(string(f.Path), mediumPrefix), "/") + string(f.Path)
	}
	return fmt.Sprintf("%s: %s%s: %s", f.Severity, f.Rule, where, f.Text)
}

type findings map[string][]Finding

// add records a violation of a rule.
func (f findings) add(rule, path, format string, args ...any) {
	f[rule] = append(f[rule], Finding{Rule: rule, Path: manifest.Text(path), Text: fmt.Sprintf(format, args...)})
}

// warn is add for a violation that does not harm the boot.
func (f findings) warn(rule, path, format string, args ...any) {
	f.add(rule, path, format, args...)
	f[rule][len(f[rule])-1].Severity = SeverityWarning
}

// makersRules are the rules that files of the source image and of extensions may break.
func makersRules() []string { return []string{ruleMountLink, ruleNotExecutable, ruleShadowMode} }

// soften turns faults of the source image's or an extension's files into warnings: only their makers can correct
// them, and Tiny Core itself has some.
func (f findings) soften(m *manifest.Manifest) {
	if m == nil {
		return
	}
	makers, origins := map[string]string{}, originsOf(m)
	for _, in := range m.Inputs {
		switch in.Kind {
		case lock.ISO:
			makers[in.Name] = "the source image"
		case lock.TCZ:
			makers[in.Name] = in.Name
		}
	}
	for _, rule := range makersRules() {
		for i := range f[rule] {
			x := &f[rule][i]
			if maker := makers[origins[string(x.Path)]]; maker != "" {
				x.Severity, x.Text = SeverityWarning, x.Text+"; "+maker+" has it so"
			}
		}
	}
}

// sorted are all findings in the order of the rules, with their severities.
func (f findings) sorted() []Finding {
	out := []Finding{}
	for _, r := range Rules() {
		for _, x := range f[r.ID] {
			x.Severity = cmp.Or(x.Severity, r.Severity)
			out = append(out, x)
		}
	}
	return out
}
