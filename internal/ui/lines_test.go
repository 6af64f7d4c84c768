package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

func TestLinesMakesEvents(t *testing.T) {
	var b bytes.Buffer
	l := NewLines(&b)
	newJSON(l).Event(Event{Level: Info, Step: "fetch", Text: "x"})
	for _, s := range []string{"mkbuild: warning: a", " b\nmkbuild: token: 1\n\x1b[2J", "{\"schema\":\"other/v1\"}\n", "\xff", "end"} {
		if n, err := io.WriteString(l, s); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	testkit.Must(t, l.Close())
	const want = `{"schema":"mkbuild.events/v1","type":"event","level":"info","step":"fetch","text":"x"}
{"schema":"mkbuild.events/v1","type":"event","level":"warning","text":"a b"}
{"schema":"mkbuild.events/v1","type":"event","level":"info","text":"token: 1"}
{"schema":"mkbuild.events/v1","type":"event","level":"info","text":"\u001b[2J{\"schema\":\"other/v1\"}"}
{"schema":"mkbuild.events/v1","type":"event","level":"info","text":"�end"}
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// An endless line is cut, not kept.
func TestLinesIsBounded(t *testing.T) {
	var b bytes.Buffer
	l := NewLines(&b)
	text := strings.Repeat("x", 3*maxLine+5)
	fmt.Fprint(l, text)
	if len(l.rest) >= maxLine {
		t.Errorf("%d bytes are kept", len(l.rest))
	}
	testkit.Must(t, l.Close())
	got := ""
	for _, s := range strings.Split(strings.TrimSpace(b.String()), "\n") {
		var e struct{ Text string }
		testkit.Must(t, json.Unmarshal([]byte(s), &e))
		got += e.Text
	}
	if got != text {
		t.Errorf("%d bytes came out, want %d", len(got), len(text))
	}
}

func TestWantsColor(t *testing.T) {
	for _, tc := range []struct {
		env      string
		terminal bool
		want     bool
	}{
		{"TERM=xterm", true, true},
		{"TERM=xterm", false, false},
		{"TERM=dumb", true, false},
		{"TERM=xterm NO_COLOR=1", true, false},
		{"CLICOLOR_FORCE=1", false, true},
		{"CLICOLOR_FORCE=0", false, false},
		{"CLICOLOR_FORCE=1 NO_COLOR=1", true, false},
	} {
		getenv := func(key string) string {
			for _, kv := range strings.Fields(tc.env) {
				if v, ok := strings.CutPrefix(kv, key+"="); ok {
					return v
				}
			}
			return ""
		}
		if got := WantsColor(getenv, tc.terminal); got != tc.want {
			t.Errorf("%s, terminal %t: %t", tc.env, tc.terminal, got)
		}
	}
}

func TestColor(t *testing.T) {
	var b bytes.Buffer
	c := NewColor(&b)
	for _, s := range []string{"mkbuild: error: x\nmkbuild: hint: y\n", "mkbuild: warning: z\n", "say mkbuild: error: w\n", "\r bar"} {
		if n, err := io.WriteString(c, s); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	const want = "\x1b[1;31mmkbuild: error:\x1b[0m x\n\x1b[36mmkbuild: hint:\x1b[0m y\n\x1b[33mmkbuild: warning:\x1b[0m z\nsay mkbuild: error: w\n\r bar"
	if b.String() != want {
		t.Errorf("%q", b.String())
	}
}
