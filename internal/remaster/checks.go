package remaster

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"mkbuild/internal/cmdline"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/initrd"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

// checkBase checks the source's boot files against the plan.
func (l *layering) checkBase() error {
	c := l.out.Plan.Config
	l.checkFirmware()
	l.dropCDE()
	if len(l.out.base.Initrds) > 1 && c.Initrd.Layout == "merged" {
		return config.Mistake("initrd.layout", fmt.Sprintf("%s boots several initrds (%s), which cannot be merged into one", l.out.Plan.ISO, strings.Join(l.out.base.Initrds, ", ")), "use the layout append")
	}
	if err := l.checkLabels(); err != nil {
		return err
	}
	for _, note := range l.out.base.ISO.Notes {
		l.sayOfBase(ui.Warning, note)
	}
	return nil
}

// dropCDE removes the extensions that Tiny Core loads with the boot code cde from the medium, or reports that they
// stay.
func (l *layering) dropCDE() {
	files := l.out.base.Files
	for _, dir := range []string{"cde", "CDE"} {
		if files.Get(dir) == nil {
			continue
		}
		n := 0
		for _, e := range files.Entries() {
			if strings.HasPrefix(e.Path, dir+"/") && strings.HasSuffix(e.Path, tcz.Suffix) {
				n++
			}
		}
		if l.out.Plan.Config.CDE == "drop" {
			files.Remove(dir)
			l.sayOfBase(ui.Info, fmt.Sprintf("folder %s with %d extensions is left out, as `cde: drop` says", dir, n))
		} else {
			l.sayOfBase(ui.Info, fmt.Sprintf("folder %s with %d extensions stays on the medium: Tiny Core loads them with the kernel argument cde; `cde: drop` in mkbuild.yaml leaves it out", dir, n))
		}
	}
}

// checkRelease refuses a user's own ISO if its release series differs from the extensions' series.
func (l *layering) checkRelease() error {
	if l.out.Plan.Config.ISO == nil {
		return nil
	}
	base, err := l.unpackedBase()
	if err != nil {
		return err
	}
	e := base.Get("usr/share/doc/tc/release.txt")
	if e == nil || !e.IsRegular() {
		return nil
	}
	text, err := e.Content(maxRelease)
	if err != nil {
		return err
	}
	release := strings.TrimSpace(string(text))
	if of := tcz.SeriesOf(release, l.out.Plan.Config.Arch); of.Major != l.out.Plan.Series.Major {
		return config.Mistake("iso", fmt.Sprintf("%s is Tiny Core %.20q, but extensions come from the series of release %s", l.out.base.Name, release, l.out.Plan.Config.Release), "name the ISO's release: --release VERSION")
	}
	return nil
}

// maxRelease bounds release.txt, in bytes.
const maxRelease = 4 << 10

// checkPacking refuses an initrd that its kernel cannot unpack and would panic over, or if that is unknown.
func (l *layering) checkPacking(packing string) error {
	base := l.out.base
	r, err := base.Open(base.Kernel)
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	ok, err := initrd.KernelUnpacks(r, packing)
	if ok {
		return nil
	}
	what := fmt.Sprintf("the initrd of %s is packed with %s, which the kernel %s cannot unpack: it would panic", base.Name, packing, l.out.Kernel)
	if err != nil {
		what = fmt.Sprintf("the initrd of %s is packed with %s; kernel %s: %v", base.Name, packing, l.out.Kernel, err)
	}
	return config.Mistake("initrd.layout", what, "use the layout merged, which packs it again with gzip")
}

// checkModules warns if a booting machine would wait forever, because the initrd lacks its kernel's modules. args
// are the image's kernel arguments.
func (l *layering) checkModules(args string) {
	if l.out.baseTree.Get("lib/modules/"+l.out.Kernel) != nil || cmdline.Has(args, "nozswap") {
		return
	}
	l.sayOfBase(ui.Warning, fmt.Sprintf(
		"the initrd has no lib/modules/%s for its kernel: Tiny Core waits forever for /dev/zram0 unless it boots with the kernel argument nozswap (--append nozswap)", l.out.Kernel))
}

// checkLabels checks the boot menu against the profile: a label without the new initrd would start stock Tiny
// Core, with its open console, from a prod image.
func (l *layering) checkLabels() error {
	base := l.out.base
	if c := &l.out.Plan.Config; c.Profile == "prod" {
		if err := openMenus(base, base.WaysIn(c.Boot.Allow)); err != nil {
			return err
		}
		if bad := cmdline.WaysIn(c.Boot.Append, c.Boot.Allow); len(bad) > 0 {
			return fail.Wrap(fail.Usage, fmt.Errorf("%w: boot.append has the %s", profile.ErrOpen, strings.Join(bad, ", ")), argumentHint)
		}
		return nil
	}
	if len(base.Others) > 0 {
		l.sayOfBase(ui.Warning, fmt.Sprintf("boot menu entries without %s start stock Tiny Core: %s", base.LastInitrd(), tell(base.Others)))
	}
	if len(base.Doubts) > 0 {
		l.sayOfBase(ui.Warning, "mkbuild cannot follow these boot menu entries: "+tell(base.Doubts))
	}
	return nil
}

const argumentHint = "leave it out, name it under `boot: allow` in mkbuild.yaml, or build with --profile dev"

func openMenus(base *medium.Medium, ways []medium.Doubt) error {
	if len(ways) == 0 {
		return nil
	}
	cde := ""
	if base.Files.Get("cde") != nil {
		cde = "set `cde: drop`, "
	}
	return fail.Wrap(fail.Usage, fmt.Errorf("%w: it may boot itself and nothing else: %s", profile.ErrOpen, tell(ways)),
		cde+"use another source ISO, name harmless arguments under `boot: allow` in mkbuild.yaml, or build with --profile dev")
}

func tell(ways []medium.Doubt) string {
	var out []string
	for i := range ways {
		out = append(out, ways[i].String())
	}
	return strings.Join(out, "; ")
}

// checkFirmware reports the firmware that boots the image, and warns of a boot path that mkbuild does not change.
func (l *layering) checkFirmware() {
	c := l.out.Plan.Config.Boot
	switch boots, menu := l.out.base.BootsUEFI(); {
	case !boots:
		l.sayOfBase(ui.Info, "BIOS only: the source ISO has no UEFI boot entry, so the image has none")
	case !menu && (c.Append != "" || c.Timeout != nil):
		l.sayOfBase(ui.Warning, "no menu of its UEFI loader was found: boot.append and boot.timeout apply only to BIOS boots")
	}
}

func (l *layering) sayOfBase(level ui.Level, text string) {
	l.b.Inputs.Sink.Event(ui.Event{Level: level, Step: "base", Item: l.out.base.Name, Text: text})
}

// check checks the finished tree against its profile, and warns of parts that will not start.
func (l *layering) check(context.Context) error {
	all := l.out.layers.Merged()
	all.Entries() // sorted once: until then only one goroutine may use the tree
	var both errgroup.Group
	both.Go(func() error { return l.lintMCollective(all) })
	both.Go(func() error { return l.closed(all) })
	return both.Wait()
}

// closed refuses a prod image with a way in.
func (l *layering) closed(all *overlay.Tree) (err error) {
	c := &l.out.Plan.Config
	if c.Profile != "prod" {
		return nil
	}
	defer fail.Recover("profile", &err)
	return profile.Closed(all, profile.Allow{Inittab: c.Boot.AllowInittab, Services: c.Services.Allow})
}
