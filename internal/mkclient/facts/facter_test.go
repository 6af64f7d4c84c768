package facts

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestParseFacts(t *testing.T) {
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
	facts, err := parseFacts([]byte(`{"n":12345678901234567890,"f":1.50}`))
	if err != nil || facts["n"] != json.Number("12345678901234567890") || facts["f"] != json.Number("1.50") {
		t.Errorf("got %v, %v", facts, err)
	}
}

func TestParseYAMLFacts(t *testing.T) {
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

// TestSyck tests Ruby 1.8's output for facts of all kinds. Ruby 1.8 is not available: the lines follow the rules of
// its lib/yaml/rubytypes.rb and of ext/syck/emitter.c.
func TestSyck(t *testing.T) {
	const out = "--- \nkernel: Linux\nowner: \"M\\xC3\\xBCller\"\nlatin: \"M\\xFCller\"\nrack: 1e3\noctal: 0o17\nyes: yes\ndate: 2012-01-02\nsex: 10:20:30\n" +
		"tabbed: !binary |\n  YQli\n\nutf: !binary |\n  w7zDpMO2\n\nquoted: \"4\"\nnumber: 4\nfloat: 1.50\nflag: true\nnone: \nnil: ~\n" +
		"text: |-\n  one\n  two\nlist: \n- a\n- 1\nmap: \n  \"\\xC3\\xBC\": \"\\xE2\\x82\\xAC\"\nshared: &id001 same\nagain: *id001\nsymbol: :sym\nstr: !str \n  str: x\nplain: M\u00fcller\nwhole: \"M\u20ac\"\n"
	facts, err := parseYAMLFacts([]byte("warning: noise\n" + out))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"kernel": "Linux", "owner": "M\u00fcller", "latin": "M\u00fcller", "rack": "1e3", "octal": "0o17", "yes": "yes", "date": "2012-01-02", "sex": "10:20:30",
		"tabbed": "a\tb", "utf": "\u00fc\u00e4\u00f6", "quoted": "4", "number": json.Number("4"), "float": json.Number("1.50"), "flag": true, "none": nil, "nil": nil,
		"text": "one\ntwo", "list": []any{"a", json.Number("1")}, "map": map[string]any{"\u00fc": "\u20ac"}, "shared": "same", "again": "same", "symbol": ":sym",
		"plain": "M\u00fcller", "whole": "M\u20ac",
	} {
		if !reflect.DeepEqual(facts[name], want) {
			t.Errorf("%s = %#v, want %#v", name, facts[name], want)
		}
	}
	bomb := "--- \na: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'j'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), c-1)
	}
	if _, err := parseYAMLFacts([]byte(bomb)); err == nil {
		t.Error("aliases of aliases are taken")
	}
}

func TestParsePairs(t *testing.T) {
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

func TestVirtualInterfacesAreNoIdentity(t *testing.T) {
	nics := []NIC{
		{Name: "bond0", MAC: "52:54:00:00:00:01", Ethernet: true},
		{Name: "br-lan", MAC: "0a:00:00:00:00:05", Ethernet: true},
		{Name: "eth0", MAC: "52:54:00:00:00:01", Physical: true, Ethernet: true},
		{Name: "eth1", MAC: "52:54:00:00:00:02", Physical: true, Ethernet: true},
		{Name: "ib0", MAC: "80:00:02:08:fe:80", Physical: true},
	}
	if got := hardwareID(nics); got != "525400000001_525400000002" {
		t.Errorf("hw_id = %q", got)
	}
	tests := []struct{ mac, want any }{
		{"0a:00:00:00:00:05", "52:54:00:00:00:01"}, {"52:54:00:00:00:01", "52:54:00:00:00:01"},
		{"52:54:00:00:00:02", "52:54:00:00:00:02"}, {nil, "52:54:00:00:00:01"}, {"99:00:00:00:00:00", "99:00:00:00:00:00"},
	}
	for _, tt := range tests {
		facts := Facts{"macaddress": tt.mac, "macaddress_br_lan": "x", "macaddress_bond0": "y", "macaddress_eth1": "z",
			"uuid": nil, "serialnumber": []any{"a"}, "macaddress_mgmt": 5}
		cleanIdentity(facts, nics)
		if facts["macaddress"] != tt.want || facts["macaddress_eth1"] != "z" || facts["macaddress_mgmt"] != "5" || len(facts) != 3 {
			t.Errorf("%v became %v", tt.mac, facts)
		}
	}
}
