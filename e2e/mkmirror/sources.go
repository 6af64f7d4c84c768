package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// fallbackSources is used if the machine's apt configuration names no Debian archive.
const fallbackSources = `Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`

// debianSources returns one deb822 sources file with the Debian entries of an apt configuration directory
// (/etc/apt). Other entries are dropped: most have no i386 index, and apt-get update exits with 100 for each of
// them.
func debianSources(etcApt string) (string, error) {
	names, err := filepath.Glob(filepath.Join(etcApt, "sources.list.d", "*"))
	if err != nil {
		return "", err
	}
	names = append([]string{filepath.Join(etcApt, "sources.list")}, names...)
	sort.Strings(names[1:])
	var out []string
	for _, name := range names {
		stanzas, err := readSources(name)
		if err != nil {
			return "", err
		}
		out = append(out, stanzas...)
	}
	if len(out) == 0 {
		return fallbackSources, nil
	}
	return strings.Join(out, "\n"), nil
}

// readSources reads the Debian entries of one file as deb822 stanzas. apt itself ignores files
// that end neither in .list nor in .sources.
func readSources(name string) ([]string, error) {
	parse := parseDeb822
	switch filepath.Ext(name) {
	case ".list":
		parse = parseOneLine
	case ".sources":
	default:
		return nil, nil
	}
	b, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read apt sources: %w", err)
	}
	return parse(string(b)), nil
}

// parseDeb822 returns the Debian stanzas of a .sources file (sources.list(5)).
func parseDeb822(text string) []string {
	var out []string
	for _, stanza := range splitStanzas(text) {
		f := stanzaFields(stanza)
		if strings.EqualFold(f["enabled"], "no") || !strings.Contains(" "+f["types"]+" ", " deb ") {
			continue
		}
		if !isDebian(f["uris"], f["signed-by"], f["suites"]) {
			continue
		}
		out = append(out, formatStanza(f["uris"], f["suites"], f["components"], f["signed-by"]))
	}
	return out
}

// parseOneLine returns the Debian entries of a .list file as stanzas.
func parseOneLine(text string) []string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		signed := ""
		if open := strings.Index(line, "["); open >= 0 {
			end := strings.Index(line, "]")
			if end < open {
				continue
			}
			for _, opt := range strings.Fields(line[open+1 : end]) {
				if k, v, _ := strings.Cut(opt, "="); k == "signed-by" {
					signed = v
				}
			}
			line = line[:open] + line[end+1:]
		}
		f := strings.Fields(line)
		if len(f) < 4 || f[0] != "deb" || !isDebian(f[1], signed, f[2]) {
			continue
		}
		out = append(out, formatStanza(f[1], f[2], strings.Join(f[3:], " "), signed))
	}
	return out
}

// isDebian distinguishes Debian's own archives and mirrors from third-party archives by the keyring that signs them
// or, without one, by the address and the suite.
func isDebian(uris, signedBy, suites string) bool {
	if strings.Contains(filepath.Base(signedBy), "debian-archive") {
		return true
	}
	if signedBy != "" {
		return false
	}
	for _, suite := range strings.Fields(suites) {
		name, _, _ := strings.Cut(suite, "-")
		name, _, _ = strings.Cut(name, "/")
		switch name {
		case "bookworm", "trixie", "stable", "oldstable", "testing", "sid", "unstable":
		default:
			return false
		}
	}
	return suites != "" && strings.Contains(uris, "/debian")
}

// formatStanza writes a deb822 stanza for packages of the component main.
func formatStanza(uris, suites, components, signedBy string) string {
	for _, c := range strings.Fields(components) {
		if c == "main" {
			components = "main"
		}
	}
	s := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\n", uris, suites, components)
	if signedBy != "" {
		s += "Signed-By: " + signedBy + "\n"
	}
	return s
}

// splitStanzas splits deb822 text at empty lines and drops comments.
func splitStanzas(text string) []string {
	var out []string
	var cur strings.Builder
	flush := func() {
		if cur.Len() > 0 {
			out = append(out, cur.String())
		}
		cur.Reset()
	}
	sc := bufio.NewScanner(strings.NewReader(text))
	for sc.Scan() {
		switch line := sc.Text(); {
		case strings.TrimSpace(line) == "":
			flush()
		case !strings.HasPrefix(line, "#"):
			cur.WriteString(line + "\n")
		}
	}
	flush()
	return out
}

// stanzaFields reads the fields of a stanza with lower-case names and joined continuation lines. A Signed-By with a
// whole key is dropped: the address then identifies the entry, and apt's own trusted keys must know the archive.
func stanzaFields(stanza string) map[string]string {
	f := make(map[string]string)
	last := ""
	for _, line := range strings.Split(stanza, "\n") {
		if line != "" && (line[0] == ' ' || line[0] == '\t') {
			f[last] = strings.TrimSpace(f[last] + " " + strings.TrimSpace(line))
			continue
		}
		if k, v, ok := strings.Cut(line, ":"); ok {
			last = strings.ToLower(strings.TrimSpace(k))
			f[last] = strings.TrimSpace(v)
		}
	}
	if strings.Contains(f["signed-by"], "BEGIN PGP") {
		f["signed-by"] = ""
	}
	return f
}
