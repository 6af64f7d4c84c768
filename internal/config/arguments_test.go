package config

import (
	"strings"
	"testing"
)

// TestRedactArguments: exactly the secrets among kernel arguments are hidden, with any quoting.
func TestRedactArguments(t *testing.T) {
	for args, want := range map[string]string{
		"quiet razor.server=x:1":                         "quiet razor.server=x:1",
		"razor.password=abc quiet":                       "razor.password=REDACTED quiet",
		`razor.password="abc def" quiet`:                 "razor.password=REDACTED quiet",
		`"razor.password=abc def" quiet`:                 "razor.password=REDACTED quiet",
		`"razor.password"=abc`:                           `razor.password"=REDACTED`,
		`quiet RAZOR.PSK="abc`:                           "quiet RAZOR.PSK=REDACTED",
		"quiet\xa0token=abc":                             "quiet token=REDACTED",
		`razor.extend="http://u:abc@x/e.zip"`:            "razor.extend=REDACTED",
		`"razor.extend=http://u:abc@x/e.zip" -- psk=abc`: "razor.extend=REDACTED -- psk=REDACTED",
	} {
		got := RedactArguments(args)
		if got != want || strings.Contains(got, "abc") {
			t.Errorf("%s: %s, want %s", args, got, want)
		}
		if again := RedactArguments(got); again != got {
			t.Errorf("%s: again %s", got, again)
		}
	}
}
