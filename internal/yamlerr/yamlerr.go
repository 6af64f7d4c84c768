// Package yamlerr reads the positions in errors of yaml.v3, which are plain text there.
package yamlerr

import (
	"regexp"
	"strconv"
	"strings"
)

var (
	first = regexp.MustCompile(`line (\d+): (.*)`)
	// parsers are the errors of yaml.v3's parser (parserc.go), whose lines count from 0. Lines of its scanner and
	// its decoder count from 1.
	parsers = regexp.MustCompile(`^did not find expected (<|node content|'-'|key$|',')`)
)

// Position returns the line, from 1, and the text of the first message in an error.
func Position(err error) (line int, what string, ok bool) {
	m := first.FindStringSubmatch(err.Error())
	if m == nil {
		return 0, "", false
	}
	line, _ = strconv.Atoi(m[1]) // digits
	if parsers.MatchString(m[2]) {
		line++
	}
	return line, inWords(m[2]), true
}

var mismatch = regexp.MustCompile("^cannot unmarshal (!!\\w+) (?:`(.*)` )?into (.*)$")

// inWords reports a value of the wrong kind without Go's type names.
func inWords(complaint string) string {
	m := mismatch.FindStringSubmatch(complaint)
	if m == nil {
		return complaint
	}
	found := map[string]string{"!!seq": "a list", "!!map": "a mapping"}[m[1]]
	if found == "" {
		found = strconv.Quote(m[2])
	}
	return "expected " + kind(m[3]) + ", found " + found
}

// kind returns the word for a Go type. Named types are structs.
func kind(t string) string {
	switch {
	case strings.HasPrefix(t, "[]"):
		return "a list"
	case t == "string":
		return "a text"
	case t == "bool":
		return "true or false"
	case strings.HasPrefix(t, "int"), strings.HasPrefix(t, "uint"):
		return "a whole number"
	}
	return "a mapping (key: value)"
}
