// Package bootmenu has the common types of the boot loaders' packages: the entries of a menu, its further menus,
// and the changes to it. isolinux, grub and ipxe each have a function Read that returns a [Menu], and a function
// Edit that takes an [Edit]. It contains no loader's syntax.
package bootmenu

// Menu is the content of a boot loader's menu.
type Menu struct {
	// Entries are in the order of the menu.
	Entries []Entry
	// Menus are the names of its further menus, as written.
	Menus []string
	// Prefix is the folder in GRUB's variable prefix in these menus, or "" if it is unchanged.
	Prefix string
	// Doubts are its other targets, except local disks and switch-off.
	Doubts []Doubt
}

// Entry boots a Linux kernel.
type Entry struct {
	Place
	// Implied is true if the kernel may not exist: a label without a kernel boots the file of its own name.
	Implied bool
	// Name is the entry's name in the menu, or "".
	Name string
	// Kernel and Initrds are paths as written in the menu. Append are the kernel arguments.
	Kernel  string
	Initrds []string
	Append  string
	// Default is true for the entry that boots after the timeout.
	Default bool
}

// Open returns the text of a menu's file, or nil if it does not exist.
type Open func(name string) ([]byte, error)

// Edit lists changes to a menu.
type Edit struct {
	// Remove is removed from the end of each entry's kernel arguments, if present: arguments of an earlier edit.
	// Append is appended, in the form of a kernel command line.
	Remove, Append string
	// TimeoutTenths is the time in tenths of a second after which the default entry boots. Values up to zero leave
	// the menu's timeout: a machine without a keyboard must never wait forever.
	TimeoutTenths int
	// AtMost limits the change to longer timeouts: a menu that waits forever stays so.
	AtMost bool
	// Part is true if the text is one of a menu's several files: a timeout is changed but never added.
	Part bool
}

// Doubt is a place in a menu whose target cannot be determined.
type Doubt struct {
	Place
	// Text describes it for the user.
	Text string
}

// Place is a line of a menu or of an included file, whose name is as written.
type Place struct {
	File string
	Line int
}
