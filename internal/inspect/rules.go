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

// Rule is one thing that [Image.Verify] looks at.
type Rule struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
	// About says in one line what is wrong when the rule is broken.
	About string `json:"about"`
	// Why says what comes of it, Fix what to do.
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

// Rules lists all rules, in the order in which their findings are told.
func Rules() []Rule {
	return append(manifestRules(), append(bootRules(), append(systemRules(), accessRules()...)...)...)
}

func manifestRules() []Rule {
	const again = "Do not use the image. Build it again, or fetch it again from where it was built, and compare with mkbuild diff."
	return []Rule{
		{ruleManifestText, SeverityError, "the manifest in the image cannot be read",
			"/mkbuild-manifest.json is damaged, was edited, or comes from another version of mkbuild, so that nothing in the image can be held against it.",
			"Verify it with the mkbuild that built it, or build it again."},
		{ruleManifestPlan, SeverityError, "the manifest contradicts itself",
			"The digest of the plan is not that of the configuration and the inputs that the manifest names: somebody has edited it.", again},
		{ruleManifestFile, SeverityError, "a file of the booted system is not as the manifest says",
			"It was added, removed or changed after the build, or its mode, owner or target was. Files that hold secrets have no digest in the manifest: of those only mode and owner are held against it.", again},
		{ruleManifestMedium, SeverityError, "a file of the medium is not as the manifest says",
			"The kernel, the initrd, a boot menu or another file outside of the initrd was added, removed or changed after the build.",
			"If kernel arguments were changed on purpose: mkbuild customize writes a manifest that knows of it. Else do not use the image."},
		{ruleManifestSegment, SeverityError, "a segment of the initrd is not as the manifest says",
			"Its bytes have changed since the build, even where the files in it have not.", again},
	}
}

func bootRules() []Rule {
	return []Rule{
		{rulePXESums, SeverityError, "a file of a PXE folder is not as its SHA256SUMS says",
			"It was copied in part, removed or changed after the folder was written. What a machine then boots is not what was built.",
			"Copy the folder again, or build it again; mkbuild customize changes one on purpose."},
		{ruleMetadataForm, SeverityError, "iso-metadata.yaml is not what Razor's image service reads",
			"Razor needs all of iso_version, kernel, initrd, hash_description, kernel_hash, initrd_hash and iso_build_time, hashes of 256 bits, a version of numbers between dots, and a time that is a YAML timestamp. Without them it refuses the image, or cannot sort it.",
			"Build the image with mkbuild iso, which writes the file."},
		{ruleMetadataHash, SeverityError, "iso-metadata.yaml has another hash than the kernel or the initrd",
			"Razor hashes the two files itself and refuses an image in which one differs.",
			"Build the image again; a tool that has replaced the initrd has to write iso-metadata.yaml anew."},
		{ruleBootTable, SeverityError, "the boot loader's boot-info-table is wrong",
			"isolinux finds its own rest by bytes 8 to 63 of isolinux.bin, which the tool that writes an image has to patch. With a wrong table a machine stops at \"image checksum error\" or at nothing at all.",
			"Write the image with -boot-info-table, or with mkbuild."},
		{ruleBootFiles, SeverityError, "a boot menu names a file that is not on the medium",
			"Anyone who chooses the entry gets \"could not find kernel image\" and stays there. It is an error of the entry that boots by itself, and a warning of others.",
			"Correct the entry, or put the file where it says. Names are taken from the menu's own folder unless they begin with a slash."},
		{ruleBootNothing, SeverityError, "nothing on the medium boots",
			"There is no El Torito entry, or no entry of a boot menu that boots a kernel with an initrd, so that a machine has nothing to start.",
			"Make it from a Tiny Core ISO with mkbuild iso."},
		{ruleBootArguments, SeverityError, "a kernel command line is longer than the boot loader or the kernel takes",
			"ISOLINUX hangs before its prompt when a label has more than some 1,950 bytes of arguments; a kernel on x86 cuts its line at 2,047 bytes, what the loader adds included.",
			"Shorten the arguments. What mk-client is to know needs none: `client: settings` in mkbuild.yaml, or mkbuild customize --client-setting."},
		{ruleBootUnclear, SeverityWarning, "a boot menu leads to what mkbuild cannot follow",
			"It starts a boot sector, a module or a command of which nobody can say what it boots, or takes its files from variables that are set elsewhere. Kernel arguments of mkbuild do not reach it, and a prod image must not have it.",
			"Leave the entry out of the source ISO."},
		{ruleInitrdPacking, SeverityError, "the kernel cannot unpack the initrd",
			"A kernel has the decompressors that it was configured with: those of 3.0 to 4.2 are seen to have gzip and lzo alone. With another packing it ends in a panic. Where a kernel does not show what it has, this is a warning.",
			"Build with `initrd: {layout: merged}`, which packs everything with gzip."},
		{ruleKernelModules, SeverityWarning, "the initrd has no modules for the kernel",
			"Tiny Core's boot script waits forever for /dev/zram0, which a module provides, unless it boots with the kernel argument nozswap; network cards have no drivers.",
			"Take kernel and initrd of one release, or boot with nozswap."},
	}
}

func systemRules() []Rule {
	return []Rule{
		{ruleDanglingLink, SeverityWarning, "a symlink leads nowhere",
			"Whatever opens it gets \"No such file or directory\", although the name is there. Links below /proc, /sys, /dev and /var/run, and Tiny Core's own links to what only exists once it has booted, are not looked at.",
			"Add what it leads to, or leave the link out."},
		{ruleMountLink, SeverityError, "a symlink leads into a mount point below /tmp that is empty",
			"It was made while an extension was mounted there. In a booted image nothing is mounted, and the link leads nowhere.",
			"Put the file itself into the image: `pick` in mkbuild.yaml does so."},
		{ruleMissingLibrary, SeverityWarning, "a program needs a shared library that the image does not have",
			"It does not start: \"error while loading shared libraries\". The libraries are read out of the ELF headers of every file; what scripts put into LD_LIBRARY_PATH cannot be seen there.",
			"Add the extension that has the library to `extensions` in mkbuild.yaml."},
		{ruleNotExecutable, SeverityError, "a program may not be executed",
			"It lies where programs are looked for, or where the boot starts it, and nobody has the right to run it: \"Permission denied\". It is an error of what the boot runs and of files that a configuration adds, and a warning elsewhere: stock Tiny Core has such files.",
			"Give it mode 0755. Zip archives and Windows file systems lose the bit."},
		{ruleDirectoryMode, SeverityError, "a directory has another mode or owner than Tiny Core gives it",
			"An archive that has directories of its own has taken them over. With /tmp not 1777, the user tc cannot write /tmp/setup.lst, and startup scripts of extensions do not run; with /opt not 2775 root:staff, tc cannot change what boots; with / open to others, anybody may replace the system. What is right stands in the initrd of the source ISO, which an image of mkbuild begins with.",
			"Build the image with mkbuild, which keeps the modes of the base, or leave directories out of the archive."},
	}
}

func accessRules() []Rule {
	return []Rule{
		{ruleShadowMode, SeverityError, "everybody may read the password file",
			"/etc/shadow holds the hashes of passwords, to be tried out at leisure by any process of the machine. In an image that mkbuild did not make and where no account has one, it is a warning.",
			"Give it mode 0640 or less."},
		{ruleHostKey, SeverityError, "an ssh host key is baked into the image",
			"All machines that boot it have the same key, and anyone who has the image can pretend to be any of them.",
			"Leave it out: an image of mkbuild makes its keys on the first boot."},
		{ruleSampleSecret, SeverityWarning, "MCollective has the psk or the password of the documentation",
			"Both are published: anybody who reaches the message broker can command the machines. mk-client does not start mcollectived with them unless it was told to.",
			"Set plugin.psk and plugin.stomp.password under `mcollective: server:` in mkbuild.yaml, from {env: NAME} or {file: PATH}."},
		{ruleProdServer, SeverityError, "a prod image has a server that lets people in",
			"The profile prod promises that there is no way in. A server is one whatever starts it: as a program or a link by its name, in an extension below /tmp/builtin, in a runtime extension, or as a command of a script that runs while the machine boots.",
			"Leave out what brings it, build with --profile dev, or name the file under `services: {allow: [...]}` in mkbuild.yaml."},
		{ruleProdOpen, SeverityError, "a prod image has a way in",
			"The profile prod promises that every account is locked, that no console starts a login or a shell, and that no kernel argument starts one in the place of init. What decides on that and is missing, or cannot be read, breaks the promise too.",
			"Look at `overlay` and `boot: append` in mkbuild.yaml: the user's own files win over everything. `boot: {allow_inittab: [...]}` takes lines of /etc/inittab. Or build with --profile dev."},
		{ruleOpenAccount, SeverityWarning, "an account needs no password",
			"Stock Tiny Core's tc is one, and tc may become root. Anyone who is at the console, or gets through by any server, is in.",
			"Build the image with mkbuild, which locks all accounts, or lock it: replace the second field of /etc/shadow by *."},
		{ruleUnsigned, SeverityWarning, "a prod image takes runtime extensions that nobody has signed",
			"Anyone who answers mk-client's request, which is plain HTTP unless the settings say otherwise, runs programs as root on every machine within seconds.",
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

// Finding is one place where a rule is broken.
type Finding struct {
	Rule     string `json:"rule"`
	Severity string `json:"severity"`
	// Path is in the booted system, or "iso:" and a path of the medium; empty for the image as a whole.
	Path manifest.Text `json:"path,omitempty"`
	Text string        `json:"text"`
	// Origin is who put the file into a planned image.
	Origin string `json:"origin,omitempty"`
}

// line is a finding for people.
func (f *Finding) line() string {
	where := ""
	if f.Path != "" {
		where = " " + when(!strings.HasPrefix(string(f.Path), mediumPrefix), "/") + string(f.Path)
	}
	return fmt.Sprintf("%s: %s%s: %s", f.Severity, f.Rule, where, f.Text)
}

// findings are what was found, by rule.
type findings map[string][]Finding

// add notes that a rule is broken.
func (f findings) add(rule, path, format string, args ...any) {
	f[rule] = append(f[rule], Finding{Rule: rule, Path: manifest.Text(path), Text: fmt.Sprintf(format, args...)})
}

// warn is add for a place where the rule is broken without harm to the boot.
func (f findings) warn(rule, path, format string, args ...any) {
	f.add(rule, path, format, args...)
	f[rule][len(f[rule])-1].Severity = SeverityWarning
}

// makersRules are those that files of the source image and of extensions may break.
func makersRules() []string { return []string{ruleMountLink, ruleNotExecutable, ruleShadowMode} }

// soften turns faults of files that the source image or an extension brings into warnings: nobody can correct them
// but their makers, and Tiny Core itself is no better.
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
