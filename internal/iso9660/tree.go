package iso9660

import (
	"sort"
	"strconv"

	"mkbuild/internal/overlay"
)

// job is a directory that is not yet read.
type job struct {
	file  int // index of its entry in tree.files
	lba   uint32
	size  int64
	depth int
	self  bool // its attributes are in its own "." record: the root, and the target of a CL field
}

// tree reads the directory hierarchy.
type tree struct {
	src       *source
	rockRidge bool
	joliet    bool
	skip      int // bytes before the system use fields (SUSP 5.3)
	files     []overlay.Entry
	lbas      []uint32 // first sector of each entry's data, parallel to files
	seen      map[uint32]bool
	stored    map[extent]bool // files' data, counted once regardless of the number of names
	dataLeft  int64           // remaining bytes of files: extents of an honest image do not overlap
	pathBytes int
	jobs      []job
}

func (t *tree) push(f overlay.Entry, lba uint32) int {
	t.files = append(t.files, f)
	t.lbas = append(t.lbas, lba)
	return len(t.files) - 1
}

// finish sorts the files, drops hidden entries and links files that share data.
func (t *tree) finish() {
	order := make([]int, 0, len(t.files))
	for i := range t.files {
		if t.files[i].Path != "" {
			order = append(order, i)
		}
	}
	sort.Slice(order, func(a, b int) bool { return t.files[order[a]].Path < t.files[order[b]].Path })
	files, lbas := make([]overlay.Entry, len(order)), make([]uint32, len(order))
	for to, from := range order {
		files[to], lbas[to] = t.files[from], t.lbas[from]
	}
	t.files, t.lbas = files, lbas
	t.linkShared()
}

// linkShared sets HardLink for files that share an extent.
func (t *tree) linkShared() {
	type data struct {
		lba  uint32
		size int64
	}
	count := make(map[data]int)
	for i, f := range t.files {
		count[data{t.lbas[i], f.Size}]++
	}
	for i := range t.files {
		f := &t.files[i]
		if f.Size > 0 && count[data{t.lbas[i], f.Size}] > 1 {
			f.HardLink = "sector " + strconv.FormatUint(uint64(t.lbas[i]), 10)
		}
	}
}

// at returns the first file whose data starts at a sector, or nil.
func (t *tree) at(lba uint32) *overlay.Entry {
	for i := range t.files {
		if t.files[i].Size > 0 && t.lbas[i] == lba {
			return &t.files[i]
		}
	}
	return nil
}

// after returns the first used sector after lba, or end.
func (t *tree) after(lba, end uint32) uint32 {
	next := end
	for i := range t.files {
		if t.files[i].Size > 0 && t.lbas[i] > lba && t.lbas[i] < next {
			next = t.lbas[i]
		}
	}
	return next
}

// tree returns the files.
func (t *tree) tree() (overlay.Tree, error) {
	var out overlay.Tree
	for i := range t.files {
		if err := out.Put(t.files[i]); err != nil {
			return out, corruptf("%v", err)
		}
	}
	return out, nil
}
