package boottest

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/medium"
	"mkbuild/internal/qemu"
)

// report matches mk-client's line about listening and console-reading processes.
var report = regexp.MustCompile(`mk-client: info: open: (\{.*\})\s*$`)

// promised returns the configuration of a prod image, by its manifest; nil for another image.
func promised(m *medium.Medium) (*config.Config, error) {
	man, _, err := m.Manifest()
	if err != nil || man == nil || man.Profile != "prod" {
		return nil, err
	}
	c, err := config.Parse("the manifest", man.Config)
	return &c, err
}

// judgeOpen fails a prod image if a process that its configuration does not name listens or reads a console.
// Every report on the console counts.
func judgeOpen(c *config.Config, vm *qemu.VM) error {
	readers := slices.Clone(c.Services.Allow)
	for _, line := range c.Boot.AllowInittab {
		readers = append(readers, programsOf(line)...)
	}
	var ways []string
	for line := range strings.Lines(vm.Log()) {
		m := report.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		var open struct{ Listening, Consoles []string }
		if err := json.Unmarshal([]byte(m[1]), &open); err != nil {
			return vm.Failure(qemu.RuleOpen, fmt.Sprintf("mk-client's report cannot be read: %s: %v", m[1], err))
		}
		add := func(what string, found, allowed []string) {
			for _, one := range found {
				if way := "something " + what + ": " + one; !names(allowed, one) && !slices.Contains(ways, way) {
					ways = append(ways, way)
				}
			}
		}
		add("listens", open.Listening, c.Services.Allow)
		add("reads a console", open.Consoles, readers)
	}
	if len(ways) > 0 {
		return vm.Failure(qemu.RuleOpen, "in a prod image "+strings.Join(ways, "; "))
	}
	return nil
}

// programsOf are the files that a line of /etc/inittab allows: for "/bin/sh /opt/menu" only the script, since the
// shell or busybox would allow every script.
func programsOf(line string) []string {
	f := strings.SplitN(line, ":", 4)
	if len(f) < 4 {
		return nil
	}
	words := strings.Fields(strings.TrimLeft(f[3], "-"))
	if len(words) > 1 && (strings.HasPrefix(words[1], "/") || path.Base(words[0]) == "busybox") {
		return words[1:]
	}
	return words
}

// names reports whether one of the files is the program in a line of the report: its executable, its script, or
// its name for busybox.
func names(files []string, line string) bool {
	words := strings.Fields(line)
	return slices.ContainsFunc(files, func(file string) bool {
		if at := slices.Index(words, "/bin/busybox"); at >= 0 && at+1 < len(words) && path.Base(words[at+1]) == path.Base(file) {
			return true
		}
		return strings.HasPrefix(file, "/") && slices.Contains(words, file)
	})
}
