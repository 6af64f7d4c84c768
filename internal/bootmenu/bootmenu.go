// Package bootmenu has the words that the boot loaders' packages share: what a menu boots, where it leads,
// and what to change in it. isolinux, grub and ipxe each have a function Read that returns a [Menu], and a
// function Edit that takes an [Edit]. It knows no loader's syntax.
package bootmenu

// Menu is what a boot loader's menu says.
type Menu struct {
	// Entries are in the order of the menu.
	Entries []Entry
	// Menus are the names of further menus that it leads to, as written.
	Menus []string
	// Prefix is the folder that GRUB's variable prefix names in these menus, "" if it is the same as here.
	Prefix string
	// Doubts are what it leads to besides, as far as that is no local disk and no switch-off.
	Doubts []Doubt
}

// Entry boots a Linux kernel.
type Entry struct {
	Place
	// Implied says that the menu may mean no file at all: a label without a kernel is one by its name.
	Implied bool
	// Name is what people choose, "" if there is none.
	Name string
	// Kernel and Initrds are paths as the menu names them, Append are the kernel arguments.
	Kernel  string
	Initrds []string
	Append  string
	// Default says that it boots by itself.
	Default bool
}

// Open returns the text of a file that is part of a menu, nil for one that is not there.
type Open func(name string) ([]byte, error)

// Edit says what to change in a menu.
type Edit struct {
	// Remove is taken away from the end of the kernel arguments of each entry, where it stands there:
	// what an earlier edit has appended. Append is put behind them, in the form of a kernel command line.
	Remove, Append string
	// TimeoutTenths is the time in tenths of a second after which the default entry boots. Zero and less
	// leave what the menu says: a machine without a keyboard must never be made to wait forever.
	TimeoutTenths int
	// AtMost says that only a longer timeout is changed: a menu that waits forever goes on doing so.
	AtMost bool
	// Part says that the text is one of several that make a menu: a timeout is changed and never added.
	Part bool
}

// Doubt is a place of a menu that leads somewhere nobody can follow.
type Doubt struct {
	Place
	// Text says what it is, for people.
	Text string
}

// Place is a line of a menu, or of a file that is part of it: that one's name is as written.
type Place struct {
	File string
	Line int
}
