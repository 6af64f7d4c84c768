package main

import (
	"fmt"
	"strings"

	"mkbuild/internal/ui"
)

// warnFirstUse says once what is trusted because it came first: files over plain http that no lock
// pins.
func warnFirstUse(sink ui.Sink, names []string) {
	warnInsecure(sink, names, "trusted on first use, since plain http brought them and nothing but the mirror's own md5, if that, vouches for them: %s; `mkbuild lock` pins them by sha256")
}

// warnFirstLock says what a lock pins as it came.
func warnFirstLock(sink ui.Sink, names []string) {
	warnInsecure(sink, names, "locked as plain http brought them, and nothing but the mirror's own md5, if that, vouches for them: %s; from now on their sha256 decides")
}

func warnInsecure(sink ui.Sink, names []string, text string) {
	if len(names) == 0 {
		return
	}
	const shown = 3
	list := strings.Join(names[:min(len(names), shown)], ", ")
	if more := len(names) - shown; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	sink.Event(ui.Event{Level: ui.Warning, Step: "fetch", Text: fmt.Sprintf(text, list)})
}
