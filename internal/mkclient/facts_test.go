package mkclient

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParseFacts(t *testing.T) {
	t.Parallel()
	big := `{"k0":0`
	for i := 1; i < 400; i++ {
		big += fmt.Sprintf(`,"k%d":%d`, i, i)
	}
	big += "}\n"
	own := "{\"a\":\"1\",\"facterversion\":\"2.5.7\"}\n"
	tests := []struct{ out, key, want string }{
		{`{"a":"1"}`, "a", "1"},
		{"{\n  \"a\": \"1\",\n  \"b\": {\n    \"c\": 2\n  }\n}\n", "a", "1"},
		{"hello\n{\"a\":\"1\"}\nbye\n", "a", "1"},
		{"{oops\n{}\n{\"a\":\"1\"}", "a", "1"},
		{"{\"x\":1}\n{\"a\":\"1\",\"b\":2}\n{}\n", "a", "1"},
		{big + own, "a", "1"},
		{own + big, "a", "1"},
		{big + own + big, "a", "1"},
		{big + "noise" + own, "a", "1"},
		{big + "{\"a\":\"1\"}\n", "a", "1"},
		{"noise {\"a\":\"1\",\"b\":{\"facterversion\":\"2\"}}", "a", "1"},
		{"noise{\"a\":\"1\"}", "a", "1"},
		{"no{ise {\"a\":\"1\"}", "a", "1"},
	}
	for _, tt := range tests {
		facts, err := parseFacts([]byte(tt.out))
		if err != nil || facts[tt.key] != tt.want {
			t.Errorf("%.80q: %d facts, %v", tt.out, len(facts), err)
		}
	}
	for _, bad := range []string{"", "{}", "null", "[]", `"x"`, "{\"a\":", strings.Repeat("{", 1<<16)} {
		if facts, err := parseFacts([]byte(bad)); err == nil {
			t.Errorf("%.20q gave %v", bad, facts)
		}
	}
}

func TestParseFactsKeepsNumbers(t *testing.T) {
	t.Parallel()
	facts, err := parseFacts([]byte(`{"n":12345678901234567890,"f":1.50}`))
	if err != nil || facts["n"] != json.Number("12345678901234567890") || facts["f"] != json.Number("1.50") {
		t.Errorf("got %v, %v", facts, err)
	}
}

func TestParseYAMLFacts(t *testing.T) {
	t.Parallel()
	facts, err := parseYAMLFacts([]byte("noise: here\n--- \n  kernel: Linux\n  count: \"4\"\n  when: 2012-01-02\n  1: one\n"))
	if err != nil || facts["kernel"] != "Linux" || facts["count"] != "4" || facts["1"] != "one" {
		t.Errorf("got %v, %v", facts, err)
	}
	if _, err := json.Marshal(facts); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "--- x", "a: [", "- 1"} {
		if facts, err := parseYAMLFacts([]byte(bad)); err == nil {
			t.Errorf("%q gave %v", bad, facts)
		}
	}
}

func TestFacterWithoutJSONSpeaksYAML(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, `case "$1" in --version) echo 1.5.8 ;; --yaml) printf '%s\n' '--- ' '  kernel: Linux' ;; *) exit 12 ;; esac`)
	srv.publish(fact(t, "ext_x", "1"), t0)
	if facts := m.cycle(srv); facts["kernel"] != "Linux" || facts["ext_x"] != "1" {
		t.Errorf("kernel %v, ext_x %v\n%s", facts["kernel"], facts["ext_x"], m.log)
	}
}

func TestParsePairs(t *testing.T) {
	t.Parallel()
	facts := parsePairs([]byte("A=1\r\na b = c\nnone\n=x\ny=\nz=a=b\n"))
	want := Facts{"a": "1", "a b ": " c", "z": "a=b"}
	if len(facts) != len(want) {
		t.Errorf("got %q", facts)
	}
	for k, v := range want {
		if facts[k] != v {
			t.Errorf("%q = %q, want %q", k, facts[k], v)
		}
	}
}

// TestExternalFilesAreContained has one bad file of each kind beside a good one.
func TestExternalFilesAreContained(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, "", func(_ *Options, s *Settings) { s.FactTimeout = time.Second })
	var big strings.Builder
	for i := range 200000 {
		fmt.Fprintf(&big, "x%d=1\n", i)
	}
	srv.publish(pack(t, member{"facts.d/a.json", "[1]", 0o644}, member{"facts.d/b.yaml", "a: [", 0o644},
		member{"facts.d/c.sh", "#!/bin/sh\nsleep 60\n", 0o755}, member{"facts.d/d", "#!/no/such/shell\n", 0o755},
		member{"facts.d/e", "#!/bin/sh\necho ext_e=partial\nexit 1\n", 0o755}, member{"facts.d/f.txt", big.String(), 0o644},
		member{"facts.d/z.txt", "Ext_Z=1\n", 0o644}, member{"facts.d/zz.txt", "ext_z=second\n", 0o644}), t0)
	facts := m.cycle(srv)
	if facts["ext_z"] != "1" || facts["ext_e"] != "partial" || facts["mk_extension_status"] != "active" {
		t.Errorf("ext_z %v, ext_e %v, status %v\n%s", facts["ext_z"], facts["ext_e"], facts["mk_extension_status"], m.log)
	}
}

func TestFactsDoNotChangeBetweenCheckins(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	srv.publish(fact(t, "ext_x", "1"), t0)
	first, _ := json.Marshal(m.cycle(srv))
	for range 3 {
		next, _ := json.Marshal(m.cycle(srv))
		if string(next) != string(first) {
			t.Errorf("%s\n%s", first, next)
		}
	}
}

func FuzzParseFacts(f *testing.F) {
	f.Add([]byte("noise\n{\"a\":\"1\"}\n"))
	f.Add([]byte("{\"a\":{\"b\":[1,null,true]}}{"))
	f.Fuzz(func(t *testing.T, out []byte) {
		facts, err := parseFacts(out)
		if (err == nil) == (len(facts) == 0) {
			t.Errorf("%d facts with %v", len(facts), err)
		}
		cleanIdentity(facts, nil)
		if _, err := json.Marshal(facts); err != nil {
			t.Error(err)
		}
		parsePairs(out)
		_, _ = parseYAMLFacts(out)
	})
}

func FuzzHardware(f *testing.F) {
	f.Add([]byte(lshwOld))
	f.Add([]byte("System Information\n\tUUID: x\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		for _, parse := range []func([]byte) (Facts, error){parseLshw, parseLscpu, parseDmidecode} {
			facts, err := parse(out)
			if err == nil && len(facts) == 0 {
				t.Error("neither facts nor an error")
			}
		}
	})
}
