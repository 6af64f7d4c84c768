package manpage

import "testing"

// Text that looks like a request or an escape in a help text is plain text in its page.
func TestRoff(t *testing.T) {
	for in, want := range map[string]string{
		`.TH a\nb`: `\&.TH a\enb`, `'br`: `\(aqbr`, "a-b `c`": `a\-b \(gac\(ga`, "~^": `\(ti\(ha`,
	} {
		if got := roff(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got, want := paragraphs("One\nline.\n\n  literal\n\n\n  more\nTwo:\n\ta tab\n.x"), "One\nline.\n.PP\n  literal\n.PP\n  more\nTwo:\n    a tab\n\\&.x\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
