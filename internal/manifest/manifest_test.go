package manifest

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/lock"
	"mkbuild/internal/overlay"
)

var zero = strings.Repeat("0a", 32)

// sample is a manifest with one of everything.
func sample() *Manifest {
	file, secret := overlay.File("etc/x <&>", 0o644, []byte("x")), overlay.File("etc/s", 0o640, []byte("psk"))
	dev := overlay.Entry{Path: "dev/null", Mode: overlay.TypeChar | 0o666, Major: 1, Minor: 3}
	link, latin := overlay.Symlink("bin/sh", "busybox"), overlay.Symlink("caf\xe9", "\xff")
	dir := overlay.Dir(".", 0o755)
	m := &Manifest{
		Schema: Schema, Mkbuild: "v1", Profile: "prod", Release: "4.5.2", Arch: "x86", Kernel: "3.0.21-tinycore", SourceDate: 7,
		Config:   []byte(`{"release":"4.5.2"}`),
		Inputs:   []lock.Input{{Kind: lock.TCZ, Name: "a.tcz", Size: 1, SHA256: zero, Why: []string{"configuration"}}},
		Boot:     []BootFile{{Path: "boot/core.gz", Role: RoleInitrd, Size: 5, SHA256: zero}, {Path: "b.bin", SHA256: zero, InfoTable: true}},
		Segments: []Segment{{Name: "Core.iso", Size: 4, SHA256: zero}, {Name: "added", Offset: 4, Size: 1, SHA256: zero}},
	}
	for _, e := range []*overlay.Entry{&dir, &link, &latin, &dev} {
		m.Files = append(m.Files, Describe(e, ""))
	}
	m.Files = append(m.Files, Describe(&file, zero), Describe(&secret, ""))
	m.Plan = m.PlanDigest()
	return m
}

func TestRenderParse(t *testing.T) {
	m := sample()
	text, err := m.Render()
	testkit.Must(t, err)
	back, err := Parse(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	again, err := back.Render()
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("%v\n%s\n%s", err, text, again)
	}
	if !reflect.DeepEqual(m, back) {
		t.Errorf("got %+v\nwant %+v", back, m)
	}
	for _, want := range []string{
		"\n    {\"path\":\"etc/x <&>\",\"mode\":\"100644\",\"uid\":0,\"gid\":0,\"size\":1,\"sha256\":\"" + zero + "\"},\n",
		"\n    {\"path\":{\"base64\":\"Y2Fm6Q==\"},\"mode\":\"120777\",\"uid\":0,\"gid\":0,\"link\":{\"base64\":\"/w==\"}},\n",
		"\"device\":\"1:3\"", "{\"path\":\"etc/s\",\"mode\":\"100640\",\"uid\":0,\"gid\":0,\"secret\":true}\n  ]\n}\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestPlanDigest(t *testing.T) {
	m := sample()
	same := sample()
	same.Mkbuild, same.Inputs[0].Why, same.Files = "v2", nil, nil
	if m.PlanDigest() != same.PlanDigest() {
		t.Error("the digest depends on what is not planned")
	}
	for what, edit := range map[string]func(*Manifest){
		"config": func(m *Manifest) { m.Config = []byte(`{"release":"4.5.3"}`) },
		"time":   func(m *Manifest) { m.SourceDate++ },
		"input":  func(m *Manifest) { m.Inputs[0].SHA256 = strings.Repeat("0b", 32) },
	} {
		other := sample()
		if edit(other); m.PlanDigest() == other.PlanDigest() {
			t.Errorf("%s does not matter", what)
		}
	}
}

func TestPublicInputs(t *testing.T) {
	in := []lock.Input{{Kind: lock.TCZ, Name: "b.tcz", URL: "http://x/", Licence: "GPL"}, {Kind: lock.Gem, Name: "a.gem", URL: "y", Licence: "MIT"}}
	got := PublicInputs(in)
	if got[0].Name != "a.gem" || got[0].URL != "" || got[0].Licence != "MIT" || got[1].URL != "" || got[1].Licence != "" || in[0].URL == "" {
		t.Errorf("%+v of %+v", got, in)
	}
}

func TestParseRefuses(t *testing.T) {
	text, err := sample().Render()
	testkit.Must(t, err)
	for what, edit := range map[string][2]string{
		"another schema":     {Schema, "mkbuild.manifest/v2"},
		"unknown member":     {`"profile"`, `"perfil": 1, "profile"`},
		"unknown in a file":  {`"mode":"40755"`, `"mode":"40755","x":1`},
		"path that climbs":   {`"bin/sh"`, `"../sh"`},
		"path not clean":     {`"bin/sh"`, `"bin//sh"`},
		"path twice":         {`"etc/s"`, `"bin/sh"`},
		"bad mode":           {`"mode":"40755"`, `"mode":"49755"`},
		"huge mode":          {`"mode":"40755"`, `"mode":"7777777"`},
		"bad base64":         {"Y2Fm6Q==", "Y2Fm6Q="},
		"negative size":      {`"size":1`, `"size":-1`},
		"short digest":       {`"sha256":"0a`, `"sha256":"0`},
		"upper-case digest":  {`"sha256": "0a`, `"sha256": "0A`},
		"segments overlap":   {`"offset": 4`, `"offset": 3`},
		"boot file climbs":   {`"boot/core.gz"`, `"/boot/core.gz"`},
		"input with a slash": {`"a.tcz"`, `"x/a.tcz"`},
		"no configuration": {`{
    "release": "4.5.2"
  }`, `null`},
		"negative time": {`"source_date": 7`, `"source_date": -7`},
		"trailing text": {"\n  ]\n}\n", "\n  ]\n}\n{}"},
		"truncated":     {"\n  ]\n}\n", ""},
	} {
		t.Run(what, func(t *testing.T) {
			bad := strings.Replace(string(text), edit[0], edit[1], 1)
			if bad == string(text) {
				t.Error("the test changes nothing")
			}
			if _, err := Parse([]byte(bad)); !errors.Is(err, ErrInvalid) {
				t.Error(err)
			}
		})
	}
	later := strings.Replace(string(text), Schema+`",`, `mkbuild.manifest/v2", "new": 1,`, 1)
	if _, err := Parse([]byte(later)); err == nil || !strings.Contains(err.Error(), `its schema is "mkbuild.manifest/v2"`) {
		t.Errorf("a later version: %v", err)
	}
	if _, err := Parse(make([]byte, MaxSize+1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("too large: %v", err)
	}
}

// FuzzParse: a parsed manifest renders, and reads back the same.
func FuzzParse(f *testing.F) {
	text, err := sample().Render()
	testkit.Must(f, err)
	f.Add(text)
	f.Add([]byte(strings.Split(string(text), "\n    {\"path\"")[0] + "]}")) // no files
	f.Add([]byte(`{"schema":"mkbuild.manifest/v1"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		one, err := m.Render()
		testkit.Must(t, err)
		back, err := Parse(one)
		if err != nil {
			t.Fatalf("%v\n%s", err, one)
		}
		if two, err := back.Render(); err != nil || !bytes.Equal(one, two) {
			t.Fatalf("%v\n%s\n%s", err, one, two)
		}
	})
}
