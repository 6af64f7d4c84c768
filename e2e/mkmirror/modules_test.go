package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParseModinfo(t *testing.T) {
	info := "license=GPL\x00depends=virtio-ring,virtio\x00alias=virtio:d00000001v*\x00alias=x\x00depends=\x00junk\x00"
	depends, aliases := parseModinfo([]byte(info))
	if !slices.Equal(depends, []string{"virtio_ring", "virtio"}) || !slices.Equal(aliases, []string{"virtio:d00000001v*", "x"}) {
		t.Errorf("got %q, %q", depends, aliases)
	}
}

func TestDepmod(t *testing.T) {
	mods := []*module{
		{name: "base", path: "kernel/base.ko"},
		{name: "mid", path: "kernel/mid.ko", depends: []string{"base"}, aliases: []string{"pci:v1*"}},
		{name: "top", path: "kernel/top.ko", depends: []string{"mid", "base", "builtin"}},
	}
	dep, alias := depmod(mods)
	const want = "kernel/base.ko.gz:\nkernel/mid.ko.gz: kernel/base.ko.gz\nkernel/top.ko.gz: kernel/mid.ko.gz kernel/base.ko.gz\n"
	if string(dep) != want {
		t.Errorf("modules.dep: got\n%swant\n%s", dep, want)
	}
	if !strings.Contains(string(alias), "alias pci:v1* mid\n") {
		t.Errorf("modules.alias: got\n%s", alias)
	}
}

func TestDepmodCycle(t *testing.T) {
	dep, _ := depmod([]*module{
		{name: "a", path: "a.ko", depends: []string{"b"}},
		{name: "b", path: "b.ko", depends: []string{"a"}},
	})
	if got, want := string(dep), "a.ko.gz: b.ko.gz\nb.ko.gz: a.ko.gz\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSelectModulesNamesWhatIsMissing(t *testing.T) {
	m := &kernel{byName: map[string]*module{}, builtin: map[string]bool{"ext4": true}}
	if got, err := m.selectModules([]string{"ext4"}); err != nil || len(got) != 0 {
		t.Errorf("builtin: got %v, %v", got, err)
	}
	for _, pattern := range []string{"nope", "kernel/nope/"} {
		if _, err := m.selectModules([]string{pattern}); err == nil || !strings.Contains(err.Error(), pattern) {
			t.Errorf("%s: got error %v", pattern, err)
		}
	}
}

func TestModuleName(t *testing.T) {
	if got := moduleName("kernel/drivers/net/ne2k-pci.ko"); got != "ne2k_pci" {
		t.Errorf("got %q", got)
	}
}
