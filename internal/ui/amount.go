package ui

import (
	"fmt"
	"strconv"
)

// amount prints a count for people: bytes in decimal units as on a data sheet, all else with
// its unit.
func amount(n int64, unit string) string {
	if unit != "" {
		return strconv.FormatInt(n, 10) + " " + Clean(unit)
	}
	switch {
	case n < 1e3:
		return strconv.FormatInt(n, 10) + " B"
	case n < 1e6:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1e9:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// Bytes prints a size for people.
func Bytes(n int64) string { return amount(n, "") }

// share prints how far a progress event is: "3.2 MB of 8.1 MB (39 %)".
func share(e Event) string {
	if e.Total <= 0 {
		return amount(e.Done, e.Unit)
	}
	percent := int64(float64(e.Done) / float64(e.Total) * 100)
	return fmt.Sprintf("%s of %s (%d %%)", amount(e.Done, e.Unit), amount(e.Total, e.Unit), percent)
}

// note prints an Info or Warning event without its line end.
func note(e Event) string {
	prefix := ""
	if e.Level == Warning {
		prefix = "mkbuild: warning: "
	}
	subject := e.subject()
	if subject == "" {
		return prefix + Clean(e.Text)
	}
	return prefix + subject + ": " + Clean(e.Text)
}
