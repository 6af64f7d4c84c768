package settings_test

import (
	"fmt"

	"mkbuild/internal/mkclient/settings"
)

// An invalid value yields to the next weaker source.
func ExampleLoad() {
	s, warnings := settings.Load(settings.Inputs{
		CommandLine: "quiet razor.server=razor.example.com razor.interval=soon",
		File:        []byte(`{"interval": 30}`),
	})
	fmt.Println(s.Server, s.Interval, s.From["interval"])
	fmt.Println(warnings)
	// Output:
	// http://razor.example.com:8150 30s configuration file
	// [kernel command line: razor.interval="soon" is ignored: want a number of seconds from 1 to 86400]
}
