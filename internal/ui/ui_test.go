package ui

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"mkbuild/e2e/testkit"
)

// story is a small build, with hostile names. pause advances fake time.
func story(s Sink, pause func(time.Duration)) {
	s.Event(Event{Level: Info, Step: "plan", Text: "4.5.2, 12 extensions"})
	s.Event(Event{Step: "fetch", Item: "ruby.tcz", Done: 1_000_000, Total: 4_100_000})
	s.Event(Event{Step: "fetch", Item: "ruby.tcz", Done: 2_000_000, Total: 4_100_000})
	s.Event(Event{Level: Warning, Step: "fetch", Item: "ev\x1b[2Jil.tcz", Text: "http://h/\r\n\u202eeurt: 500"})
	pause(11 * time.Second)
	s.Event(Event{Step: "fetch", Item: "ruby.tcz", Done: 4_100_000, Total: 4_100_000})
	s.Event(Event{Step: "fetch", Item: "bash.tcz", Done: 523, Total: 523, Text: "from the cache"})
	s.Event(Event{Step: "stage", Item: "lshw.tcz", Done: 3, Total: 12, Unit: "files"})
	pause(25 * time.Second)
	s.Event(Event{Step: "stage", Item: "lshw.tcz", Done: 12, Total: 12, Unit: "files"})
	pause(11 * time.Second)
	s.Event(Event{Level: Warning, Text: "sample secrets"})
}

// render sends the story to the renderer of a mode under a fake clock.
func render(t *testing.T, mode string, tty bool) string {
	t.Helper()
	var b bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		s, done, err := New(mode, &b, tty)
		testkit.Must(t, err)
		story(s, func(d time.Duration) { time.Sleep(d); synctest.Wait() })
		done()
		n := b.Len()
		time.Sleep(time.Minute)
		synctest.Wait()
		if b.Len() != n {
			t.Errorf("printed after the end: %q", b.String()[n:])
		}
	})
	return b.String()
}

const plainGolden = `plan: 4.5.2, 12 extensions
mkbuild: warning: fetch ev\x1b[2Jil.tcz: http://h/\r\n\u202eeurt: 500
fetch ruby.tcz: 2.0 MB of 4.1 MB (48 %)
fetch ruby.tcz: 4.1 MB
fetch bash.tcz: 523 B, from the cache
stage lshw.tcz: 3 files of 12 files (25 %)
stage lshw.tcz: 3 files of 12 files (25 %)
stage lshw.tcz: 12 files
still working
mkbuild: warning: sample secrets
`

const quietGolden = `mkbuild: warning: fetch ev\x1b[2Jil.tcz: http://h/\r\n\u202eeurt: 500
mkbuild: warning: sample secrets
`

const jsonGolden = `{"schema":"mkbuild.events/v1","type":"event","level":"info","step":"plan","text":"4.5.2, 12 extensions"}
{"schema":"mkbuild.events/v1","type":"event","level":"progress","step":"fetch","item":"ruby.tcz","done":1000000,"total":4100000}
{"schema":"mkbuild.events/v1","type":"event","level":"warning","step":"fetch","item":"ev\u001b[2Jil.tcz","text":"http://h/\r\n\u202eeurt: 500"}
{"schema":"mkbuild.events/v1","type":"event","level":"progress","step":"fetch","item":"ruby.tcz","done":4100000,"total":4100000}
{"schema":"mkbuild.events/v1","type":"event","level":"progress","step":"fetch","item":"bash.tcz","text":"from the cache","done":523,"total":523}
{"schema":"mkbuild.events/v1","type":"event","level":"progress","step":"stage","item":"lshw.tcz","done":3,"total":12,"unit":"files"}
{"schema":"mkbuild.events/v1","type":"event","level":"progress","step":"stage","item":"lshw.tcz","done":12,"total":12,"unit":"files"}
{"schema":"mkbuild.events/v1","type":"event","level":"warning","text":"sample secrets"}
`

func TestRenderers(t *testing.T) {
	tests := []struct {
		mode string
		tty  bool
		want string
	}{
		{"plain", true, plainGolden},
		{"plain", false, plainGolden},
		{"auto", false, plainGolden},
		{"", false, plainGolden},
		{"json", true, jsonGolden},
		{"quiet", true, quietGolden},
	}
	for _, tt := range tests {
		t.Run(tt.mode, func(t *testing.T) {
			if got := render(t, tt.mode, tt.tty); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestTTY(t *testing.T) {
	got := render(t, "auto", true)
	if again := render(t, "auto", true); again != got {
		t.Errorf("not the same twice:\n%q\n%q", got, again)
	}
	for _, want := range []string{
		"plan: 4.5.2, 12 extensions\n",
		"\rfetch ruby.tcz |████                | 1.0 MB of 4.1 MB",
		"\rmkbuild: warning: fetch ev\\x1b[2Jil.tcz: http://h/\\r\\n\\u202eeurt: 500\n",
		"\rstage lshw.tcz |█████               | 3 files of 12 files",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if !strings.HasSuffix(got, "\rmkbuild: warning: sample secrets\n") {
		t.Errorf("a bar stays on the screen: %q", got)
	}
}

// TestTTYWidth: the line fits any terminal width, its rate counts received bytes, and one number covers all files.
func TestTTYWidth(t *testing.T) {
	for width, want := range map[int]string{
		120: "fetch 2 of 3: |██████████████      | 5.3 MB of 7.3 MB, 500.0 kB/s",
		79:  "fetch 2 of 3: |██████████████      | 5.3 MB of 7.3 MB, 500.0 kB/s",
		54:  "",
		39:  "fetch 2 of 3: |████  | 5.3 MB of 7.3 MB",
		20:  "fe… 5.3 MB of 7.3 MB",
	} {
		s := &tty{w: io.Discard}
		s.Event(Event{Step: "fetch", Item: "cached.tcz", Done: 4_300_000, Total: 4_300_000})
		s.Event(Event{Step: "fetch", Item: "small.tcz", Done: 500_000})
		s.Event(Event{Step: "fetch", Item: "small.tcz", Done: 500_000, Total: 500_000})
		s.Event(Event{Step: "fetch", Item: strings.Repeat("long", 30) + ".tcz", Done: 500_000, Total: 2_500_000})
		got := s.line(width, 2*time.Second)
		if n := len([]rune(got)); n > width || want != "" && got != want {
			t.Errorf("%d columns: %d in %q, want %q", width, n, got, want)
		}
	}
	for width := range 100 {
		s := &tty{w: io.Discard}
		s.Event(Event{Step: "fetch", Item: strings.Repeat("ü", 60) + ".tcz", Done: 1, Total: 3})
		if got := s.line(width, time.Millisecond); len([]rune(got)) > width || strings.Contains(got, "/s") {
			t.Errorf("%d columns: %q", width, got)
		}
	}
}

func TestTTYUnknownLength(t *testing.T) {
	var b bytes.Buffer
	s := &tty{w: &b}
	for n := range int64(5) {
		s.Event(Event{Step: "fetch", Item: "x", Done: n * 1000})
	}
	s.Event(Event{Step: "fetch", Item: "x", Done: 9000, Total: 9000})
	s.Event(Event{Step: "fetch", Item: "empty"})
	s.close()
	if !strings.Contains(b.String(), "fetch x") {
		t.Errorf("%q", b.String())
	}
}

func TestNewUnknownMode(t *testing.T) {
	_, _, err := New("fancy", nil, true)
	if err == nil || err.Error() != `--progress: unknown mode "fancy"` {
		t.Error(err)
	}
}

func TestJSONThinsOutProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		s := newJSON(&b)
		for n := range int64(1000) {
			s.Event(Event{Step: "fetch", Item: "x", Done: n + 1, Total: 1000})
			time.Sleep(time.Millisecond)
		}
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if len(lines) != 5 || !strings.Contains(lines[4], `"done":1000`) {
			t.Errorf("%d lines: %v", len(lines), lines)
		}
		if len(s.shown) != 0 {
			t.Error("a finished item is still remembered")
		}
	})
}

func TestSinksAreSafeForConcurrentUse(t *testing.T) {
	var b bytes.Buffer
	bar, lines, js, warnings := &tty{w: &b}, newPlain(&bytes.Buffer{}), newJSON(&bytes.Buffer{}), &quiet{w: &bytes.Buffer{}}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range int64(50) {
				for _, s := range []Sink{bar, lines, js, warnings} {
					s.Event(Event{Level: Level(n % 3), Step: "s", Item: string(rune('a' + i)), Done: n, Total: 50})
				}
			}
		})
	}
	wg.Wait()
	bar.close()
	lines.close()
}

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"ruby-1.8.tcz":            "ruby-1.8.tcz",
		"grün ✓":                  "grün ✓",
		"\x1b[31mred\x07":         `\x1b[31mred\a`,
		"a\nb\tc\rd":              `a\nb\tc\rd`,
		"\xff\xfe":                `\xff\xfe`,
		"\u0085\u009b\u202e":      `\u0085\u009b\u202e`,
		"\u200bhidden\u2028":      `\u200bhidden\u2028`,
		"\x00\x7f":                `\x00\x7f`,
		strings.Repeat("x", 5000): strings.Repeat("x", 4096) + "…",
	} {
		if got := Clean(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b]0;title\x07\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Clean(s) {
			if !unicode.IsPrint(r) {
				t.Errorf("%q lets %U through", s, r)
			}
		}
		b, err := json.Marshal(s)
		testkit.Must(t, err)
		var before, after string
		testkit.Must(t, json.Unmarshal(b, &before))
		e := escapeJSON(b)
		if err := json.Unmarshal(e, &after); err != nil || before != after {
			t.Errorf("%q became %q: %v", before, after, err)
		}
		for _, r := range string(e) {
			if !unicode.IsPrint(r) {
				t.Errorf("%q lets %U through", e, r)
			}
		}
	})
}

func TestAmount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1_500_000: "1.5 MB", 2_150_000_000: "2.1 GB"} {
		if got := amount(n, ""); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestTimings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tm := NewTimings()
		fetch := tm.Start("fetch")
		time.Sleep(1200 * time.Millisecond)
		fetch()
		fetch()
		initrd := tm.Start("initrd")
		time.Sleep(time.Second)
		initrd()
		again := tm.Start("fetch")
		time.Sleep(300 * time.Millisecond)
		again()
		tm.Start("iso")
		var b bytes.Buffer
		testkit.Must(t, tm.Print(&b))
		want := "fetch      1.500 s  60.0 %\ninitrd     1.000 s  40.0 %\niso        0.000 s   0.0 %  (not finished)\ntotal      2.500 s 100.0 %\n"
		if b.String() != want {
			t.Errorf("got\n%s\nwant\n%s", b.String(), want)
		}
		b.Reset()
		testkit.Must(t, tm.PrintJSON(&b))
		want = `{"schema":"mkbuild.events/v1","type":"timing","step":"fetch","seconds":1.5}
{"schema":"mkbuild.events/v1","type":"timing","step":"initrd","seconds":1}
{"schema":"mkbuild.events/v1","type":"timing","step":"iso","seconds":0,"unfinished":true}
{"schema":"mkbuild.events/v1","type":"timing","step":"total","seconds":2.5}
`
		if b.String() != want {
			t.Errorf("got\n%s\nwant\n%s", b.String(), want)
		}
	})
}

func TestFailure(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	testkit.Must(t, (Failure{"read ev\x1b[2Jil\n\u202e: \"no\"", "try again", 5}).PrintJSON(&b))
	want := `{"schema":"mkbuild.events/v1","type":"error","error":"read ev\u001b[2Jil\n\u202e: \"no\"","hint":"try again","code":5}` + "\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
