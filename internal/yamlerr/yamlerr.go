// Package yamlerr reads the positions in errors of yaml.v3, which has no typed ones.
package yamlerr

import (
	"regexp"
	"strconv"
)

var (
	first = regexp.MustCompile(`line (\d+): (.*)`)
	// parsers are the complaints of yaml.v3's parser (parserc.go), whose lines count from 0. Those of its
	// scanner and its decoder count from 1.
	parsers = regexp.MustCompile(`^did not find expected (<|node content|'-'|key$|',')`)
)

// Position returns the line, from 1, and the text of the first complaint in an error.
func Position(err error) (line int, what string, ok bool) {
	m := first.FindStringSubmatch(err.Error())
	if m == nil {
		return 0, "", false
	}
	line, _ = strconv.Atoi(m[1]) // digits
	if parsers.MatchString(m[2]) {
		line++
	}
	return line, m[2], true
}
