package tcz

import (
	"fmt"
	"slices"
)

// Series is what the point releases of one major version have in common on one architecture. It says
// what to ask a mirror for. How an ISO is remade, its own kernel, initrd and boot menu decide.
type Series struct {
	// Major is the number before the first dot: 4 for "4.5.2". Arch is a mirror's folder.
	Major int    `json:"major"`
	Arch  string `json:"arch"`
	// Edition is the ISO without a desktop: "Core" or "CorePure64".
	Edition string `json:"edition"`
	// Kernels are the releases (uname -r) that its ISOs have had, oldest first. There are none for a
	// series that the table lacks.
	Kernels []string `json:"kernels"`
	// GzipOnly says that its kernels panic over an initrd of another compressor.
	GzipOnly bool `json:"gzip_only"`
	// OwnRubyGems says that its Ruby brings RubyGems along, as all do since 1.9.
	OwnRubyGems bool `json:"own_rubygems"`
	// Extensions are the names to ask a mirror for when the user lists none.
	Extensions []string `json:"extensions"`
}

// firstMajor is the oldest series of the table.
const firstMajor = 4

// kernels returns the kernels of each series from 4.x on, without the architecture's suffix. They were
// read out of an ISO of each, but for those of 5.x and 8.x, which public build scripts name.
func kernels() [][]string {
	return [][]string{
		{"3.0.3", "3.0.21"}, {"3.8.13"}, {"3.16.6"}, {"4.2.9"}, {"4.8.17"}, {"4.14.10"}, {"4.19.10"},
		{"5.4.3"}, {"5.10.3"}, {"5.15.10"}, {"6.1.2"}, {"6.6.8"}, {"6.12.11"}, {"6.18.2"},
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

// SeriesOf returns the series of a release. One that the table lacks is assumed to be like its
// neighbour, and has no kernels.
func SeriesOf(release, arch string) Series {
	major := 0
	_, _ = fmt.Sscanf(release, "%d", &major) // config refuses what does not begin with a number
	return newSeries(major, arch)
}

func newSeries(major int, arch string) Series {
	s := Series{
		Major: major, Arch: arch, Edition: "Core",
		GzipOnly: major <= firstMajor, OwnRubyGems: major > firstMajor, Extensions: extensionsOf(major),
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

// extensionsOf returns a microkernel's extensions. The names are those of the original microkernel (4.x),
// of its successor of 2014 (5.x), and of a discovery image that was built on each series from 8.x to
// 15.x. Up to 4.x util-linux stays out and two files are picked out of it; later ones keep the
// libraries of these two inside it, so it goes in whole. There is no lshw any more: mk-client
// reads the kernel's own lists. OpenSSL comes as a dependency.
func extensionsOf(major int) []string {
	if major <= firstMajor {
		return []string{"ruby", "bash", "dmidecode", "lshw", "scsi-KERNEL", "libssl-0.9.8", "firmware-bnx2"}
	}
	ruby := "ruby"
	if major == 5 {
		ruby = "ruby-2.0"
	}
	return []string{ruby, "bash", "dmidecode", "scsi-KERNEL", "util-linux", "firmware-broadcom_bnx2", "firmware-broadcom_bnx2x"}
}

// ISO returns the file name of a release's ISO: "Core-4.5.2.iso".
func (s *Series) ISO(release string) string { return s.Edition + "-" + release + ".iso" }

// Name returns "4.x x86".
func (s *Series) Name() string { return fmt.Sprintf("%d.x %s", s.Major, s.Arch) }

// PanicsOver reports whether a kernel of the series panics over an initrd of that compressor. Of
// kernels that are not Tiny Core's own that is not known.
func (s *Series) PanicsOver(compressor, kernel string) bool {
	return s.GzipOnly && compressor != "gzip" && slices.Contains(s.Kernels, kernel)
}
