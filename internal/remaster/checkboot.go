package remaster

import (
	"fmt"
	"slices"
	"strings"

	"mkbuild/internal/profile"
	"mkbuild/internal/ui"
)

// checkModules warns if a booting machine would wait forever: its kernel's modules are not in the
// initrd. args are the kernel arguments that the image will boot with.
func (s *stage) checkModules(args string) {
	if s.baseTree.Get("lib/modules/"+s.Kernel) != nil || slices.Contains(strings.Fields(args), "nozswap") {
		return
	}
	s.sayOfBase(ui.Warning, fmt.Sprintf(
		"the initrd has no lib/modules/%s for its kernel: Tiny Core waits for ever for /dev/zram0 unless it boots with the kernel argument nozswap (--append nozswap)", s.Kernel))
}

// checkLabels holds the boot menu against the profile: a label that boots without the
// remade initrd starts stock Tiny Core, with its open console, from what should be a prod image.
func (s *stage) checkLabels() error {
	if len(s.base.Others) == 0 {
		return nil
	}
	what := fmt.Sprintf("the boot menu of %s has labels that do not use %s and would start stock Tiny Core: %s", s.base.Name, s.base.LastInitrd(), strings.Join(s.base.Others, ", "))
	if s.Plan.Config.Profile == "prod" {
		return fmt.Errorf("%w: %s", profile.ErrOpen, what)
	}
	s.sayOfBase(ui.Warning, what)
	return nil
}

// checkFirmware says which firmware the image boots on, and warns of a boot path that mkbuild
// keeps as it is.
func (s *stage) checkFirmware() {
	c := s.Plan.Config.Boot
	switch boots, menu := s.base.BootsUEFI(); {
	case !boots:
		s.sayOfBase(ui.Info, "BIOS only: it has no UEFI boot entry, so the image has none")
	case !menu && (c.Append != "" || c.Timeout != nil):
		s.sayOfBase(ui.Warning, "no menu of its UEFI loader was found: boot.append and boot.timeout apply to BIOS boots alone")
	}
}

func (s *stage) sayOfBase(level ui.Level, text string) {
	s.b.Inputs.Sink.Event(ui.Event{Level: level, Step: "base", Item: s.base.Name, Text: text})
}
