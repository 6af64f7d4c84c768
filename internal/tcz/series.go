package tcz

import (
	"fmt"
)

// Series holds facts about the point releases of one major version on one architecture that a mirror does not list.
// The mirror lists the extensions; the ISO has its own kernel, initrd and boot menu.
type Series struct {
	// Major is the number before the first dot: 4 for "4.5.2". Arch is a folder of the mirror.
	Major int    `json:"major"`
	Arch  string `json:"arch"`
	// Edition is the ISO without a desktop: "Core" or "CorePure64".
	Edition string `json:"edition"`
	// Kernels are the releases (uname -r) of its ISOs, oldest first. The list is empty for a series outside the
	// table.
	Kernels []string `json:"kernels"`
}

// firstMajor is the oldest series of the table.
const firstMajor = 4

// kernels returns the kernels of each series from 4.x on, without the architecture's suffix: kernels of its ISOs
// and kernels with modules on its mirrors.
func kernels() [][]string {
	return [][]string{
		{"3.0.3", "3.0.21"}, {"3.8.10", "3.8.13"}, {"3.16.6"}, {"4.2.7", "4.2.9"}, {"4.8.17"}, {"4.14.10"}, {"4.19.10"},
		{"5.4.3"}, {"5.10.3"}, {"5.15.10"}, {"6.1.2"}, {"6.6.8"}, {"6.12.11"}, {"6.18.2", "6.18.35"},
	}
}

// AllSeries returns the table: 4.x to 17.x, x86 before x86_64.
func AllSeries() []Series {
	var out []Series
	for i := range kernels() {
		out = append(out, newSeries(firstMajor+i, "x86"), newSeries(firstMajor+i, "x86_64"))
	}
	return out
}

// SeriesOf returns the series of a release. A series outside the table has no kernels.
func SeriesOf(release, arch string) Series {
	major := 0
	_, _ = fmt.Sscanf(release, "%d", &major) // config refuses a release without a leading number
	return newSeries(major, arch)
}

func newSeries(major int, arch string) Series {
	s := Series{
		Major: major, Arch: arch, Edition: "Core",
	}
	suffix := "-tinycore"
	if arch == "x86_64" {
		s.Edition, suffix = "CorePure64", "-tinycore64"
	}
	if known, i := kernels(), major-firstMajor; i >= 0 && i < len(known) {
		for _, k := range known[i] {
			s.Kernels = append(s.Kernels, k+suffix)
		}
	}
	return s
}

// ISO returns the file name of a release's ISO: "Core-4.5.2.iso".
func (s *Series) ISO(release string) string { return s.Edition + "-" + release + ".iso" }

// Name returns "4.x x86".
func (s *Series) Name() string { return fmt.Sprintf("%d.x %s", s.Major, s.Arch) }
