package main

import (
	"strings"

	"mkbuild/internal/overlay"
)

// extensionTable lists the extensions, those that others need first. The .dep texts have the
// quirks of the real mirrors' on purpose: empty lines, trailing blanks, no final newline, a name
// twice, a cycle, -KERNEL.
func extensionTable() []*extension {
	return []*extension{
		{name: "ncurses-common", title: "terminal descriptions", from: "ncurses-base", dep: "ncurses.tcz\n", fill: fillTerminfo},
		{name: "ncurses", title: "ncurses libraries", from: "libncurses6", dep: "\nncurses-common.tcz\n", fill: fillNcurses, rootUID: uidTC, rootGID: gidStaff},
		{name: "bash", title: "GNU Bourne Again SHell", from: "bash", dep: "ncurses.tcz \n", fill: fillBash, script: "bash", rootUID: uidTC, rootGID: gidStaff, rootMode: 0o777},
	}
}

// fillTerminfo adds the common terminals.
func fillTerminfo(b *builder, _ *mirror) {
	b.takeTree("ncurses-base", "lib/terminfo", "usr/local/share/terminfo", func(name string) bool {
		switch name[strings.LastIndexByte(name, '/')+1:] {
		case "linux", "vt100", "vt102", "vt220", "xterm", "xterm-256color", "screen", "ansi", "dumb", "rxvt":
			return true
		}
		return false
	})
	b.put(overlay.Symlink("usr/share/terminfo", "/usr/local/share/terminfo"))
}

func fillNcurses(b *builder, _ *mirror) {
	for _, lib := range []string{"libtinfo.so.6", "libncurses.so.6", "libncursesw.so.6"} {
		if b.err == nil {
			b.fail(b.pool.addLibrary(b.tree, "usr/local/lib", lib))
		}
	}
	b.take("ncurses-bin", "usr/bin/tput", "usr/local/bin/tput", 0o755)
	b.take("ncurses-bin", "usr/bin/clear", "usr/local/bin/clear", 0o755)
}

func fillBash(b *builder, _ *mirror) {
	b.take("bash", "bin/bash", "usr/local/bin/bash", 0o755)
	b.text("usr/local/share/bash/files/.bashrc", 0o644, "# Settings of interactive bash shells.\nPS1='\\u@\\h:\\w\\$ '\n")
}
