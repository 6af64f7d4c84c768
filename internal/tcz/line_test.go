package tcz

import (
	"slices"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range Lines() {
		if seen[l.Name()] || !l.Known || len(l.Kernels) == 0 || len(l.Extensions) < 6 || l.Menu.Initrd == "" || l.Ruby == "" || l.OpenSSL == "" {
			t.Errorf("%+v: twice, or something is missing", l)
		}
		seen[l.Name()] = true
		for _, k := range l.Kernels {
			if strings.HasSuffix(k, "64") != (l.Arch == "x86_64") {
				t.Errorf("%s: kernel %s", l.Name(), k)
			}
		}
		for _, x := range l.Extensions {
			if _, err := FileName(x, l.Kernels[0]); err != nil {
				t.Errorf("%s: %v", l.Name(), err)
			}
		}
		if l.Refuses("gzip") || l.Refuses("xz") != (l.Major == 4) {
			t.Errorf("%s: compressors %q, gzip only %t", l.Name(), l.Compressors, l.GzipOnly)
		}
	}
	if len(seen) != 28 {
		t.Errorf("%d lines, want those of 4.x to 17.x on two architectures", len(seen))
	}
}

func TestLineOf(t *testing.T) {
	for _, tc := range []struct {
		release, arch, name, iso, doubts string
	}{
		{"4.5.2", "x86", "4.x x86", "Core-4.5.2.iso", ""},
		{"5.2", "x86", "5.x x86", "Core-5.2.iso", "of the line 5.x x86, mkbuild assumes without proof: menu"},
		{"15.0", "x86_64", "15.x x86_64", "CorePure64-15.0.iso", "of the line 15.x x86_64, mkbuild assumes without proof: firmware, menu, ruby"},
		{"13.1", "x86_64", "13.x x86_64", "CorePure64-13.1.iso", "without proof: firmware, openssl, ruby"},
		{"16.0rc1", "x86", "16.x x86", "Core-16.0rc1.iso", "of the line 16.x x86, mkbuild assumes without proof: extensions, firmware, openssl, ruby"},
		{"18.0", "x86_64", "18.x x86_64", "CorePure64-18.0.iso", "has no line 18.x x86_64: names of files and extensions are assumed to be those of 17.x x86_64"},
		{"3.8.4", "x86", "3.x x86", "Core-3.8.4.iso", "has no line 3.x x86: names of files and extensions are assumed to be those of 4.x x86"},
		{"17rc1", "x86", "17.x x86", "Core-17rc1.iso", "of the line 17.x x86"},
		{"10.1", "armv7", "10.x armv7", "Core-10.1.iso", "has no line 10.x armv7: names of files and extensions are assumed to be those of 10.x x86"},
		{"../x", "x86", "4.x x86", "Core-../x.iso", ""}, // refused where releases are checked
	} {
		l := LineOf(tc.release, tc.arch)
		if l.Name() != tc.name || l.ISO(tc.release) != tc.iso || !strings.Contains(l.Doubts(), tc.doubts) || (tc.doubts == "") != (l.Doubts() == "") {
			t.Errorf("%s %s: %s, %s, %q", tc.release, tc.arch, l.Name(), l.ISO(tc.release), l.Doubts())
		}
	}
}

// What the table says of 4.x is what the project's first document asks for.
func TestFirstLine(t *testing.T) {
	l := LineOf("4.5.2", "x86")
	if !l.HasKernel("3.0.21-tinycore") || l.HasKernel("3.0.21-tinycore64") || l.OwnRubyGems() || l.InitrdFile != "boot/core.gz" || l.Menu.Initrd != "append" {
		t.Errorf("%+v", l)
	}
	second := LineOf("5.2", "x86")
	if second.AssumesExtension("ruby-2.0") || second.AssumesExtension("bash") {
		t.Errorf("%+v", second)
	}
	if l := LineOf("15.0", "x86_64"); l.AssumesExtension("bash") || !l.AssumesExtension("ruby") || !l.AssumesExtension("firmware-x") {
		t.Errorf("%+v", l)
	}
	modern := LineOf("14.0", "x86_64")
	if !modern.OwnRubyGems() || modern.InitrdFile != "boot/corepure64.gz" || !modern.Menu.UEFI || slices.Contains(modern.Extensions, "libssl-0.9.8") {
		t.Errorf("%+v", modern)
	}
}
