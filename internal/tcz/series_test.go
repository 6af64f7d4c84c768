package tcz

import (
	"slices"
	"strings"
	"testing"
)

func TestAllSeries(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range AllSeries() {
		if seen[s.Name()] || len(s.Kernels) == 0 {
			t.Errorf("%+v: twice, or something is missing", s)
		}
		seen[s.Name()] = true
		for _, k := range s.Kernels {
			if strings.HasSuffix(k, "64") != (s.Arch == "x86_64") {
				t.Errorf("%s: kernel %s", s.Name(), k)
			}
		}
	}
	if len(seen) != 28 {
		t.Errorf("%d series, want those of 4.x to 17.x on two architectures", len(seen))
	}
}

func TestSeriesOf(t *testing.T) {
	for _, tc := range []struct{ release, arch, name, iso, kernel string }{
		{"4.5.2", "x86", "4.x x86", "Core-4.5.2.iso", "3.0.21-tinycore"},
		{"5.2", "x86", "5.x x86", "Core-5.2.iso", "3.8.13-tinycore"},
		{"15.0", "x86_64", "15.x x86_64", "CorePure64-15.0.iso", "6.6.8-tinycore64"},
		{"16.0rc1", "x86", "16.x x86", "Core-16.0rc1.iso", "6.12.11-tinycore"},
		{"17rc1", "x86", "17.x x86", "Core-17rc1.iso", "6.18.2-tinycore"},
		{"18.0", "x86_64", "18.x x86_64", "CorePure64-18.0.iso", ""},
		{"3.8.4", "x86", "3.x x86", "Core-3.8.4.iso", ""},
		{"../x", "x86", "0.x x86", "Core-../x.iso", ""}, // refused where releases are checked
	} {
		s := SeriesOf(tc.release, tc.arch)
		known := tc.kernel != ""
		if s.Name() != tc.name || s.ISO(tc.release) != tc.iso || known != (len(s.Kernels) > 0) || known && !slices.Contains(s.Kernels, tc.kernel) {
			t.Errorf("%s %s: %+v", tc.release, tc.arch, s)
		}
	}
}
