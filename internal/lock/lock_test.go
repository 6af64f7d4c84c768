package lock

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
)

const (
	sumA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	sumB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	md5A = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)

// sample is a lock of a few files with paths below dir.
func sample(dir string) *Lock {
	return &Lock{
		Schema: Schema, Config: sumB, Release: "4.5.2", Arch: "x86", Kernel: "3.0.21-tinycore", SourceDate: 1348500000,
		Inputs: []Input{
			{Kind: Gem, Name: "stomp-1.2.0.gem", URL: "https://rubygems.org/gems/stomp-1.2.0.gem", Size: 3, SHA256: sumA, Why: []string{WhyConfig}, Licence: "Apache <2.0> & others"},
			{Kind: ISO, Name: "Core-4.5.2.iso", URL: filepath.Join(dir, "4.x", "Core-4.5.2.iso"), Size: 1, MD5: md5A, SHA256: sumA, Why: []string{WhyConfig}},
			{Kind: TCZ, Name: "bash.tcz", Size: 2, MD5: md5A, SHA256: sumB, Why: []string{WhyConfig}, Needs: []string{"ncurses.tcz", "bash.tcz"}},
			{Kind: TCZ, Name: "ncurses.tcz", SHA256: sumA, Why: []string{"bash.tcz"}},
			{Kind: TCZ, Name: "util-linux.tcz", SHA256: sumA, Why: []string{WhyPick}},
		},
	}
}

func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, FileName)
	l := sample(dir)
	slices.Reverse(l.Inputs)
	if changed, err := l.Save(name); err != nil || !changed {
		t.Fatal(changed, err)
	}
	text, err := os.ReadFile(name)
	testkit.Must(t, err)
	for _, want := range []string{"{\n  \"schema\": \"mkbuild.lock/v1\",\n", `"url": "4.x/Core-4.5.2.iso"`, `"Apache <2.0> & others"`, "]\n}\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	got, err := Load(name, "")
	testkit.Must(t, err)
	want := sample(dir)
	a, _ := got.Text()
	b, _ := want.Text()
	if !bytes.Equal(a, b) {
		t.Errorf("got\n%s\nwant\n%s", a, b)
	}
	before, _ := os.Stat(name)
	if changed, err := got.Save(name); err != nil || changed {
		t.Errorf("saved again: %v, %v", changed, err)
	}
	if after, _ := os.Stat(name); !os.SameFile(before, after) {
		t.Error("the same text was written again")
	}
	// Moved together with its mirror, the lock still finds it.
	moved := filepath.Join(t.TempDir(), "moved")
	testkit.Must(t, os.Rename(dir, moved))
	if got, err = Load(filepath.Join(moved, FileName), ""); err != nil || got.Find(ISO, "Core-4.5.2.iso").URL != filepath.Join(moved, "4.x", "Core-4.5.2.iso") {
		t.Errorf("moved: %+v, %v", got, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	good, err := sample("/m").Text()
	testkit.Must(t, err)
	edit := func(old, new string) string {
		if strings.Count(string(good), old) == 0 {
			t.Fatalf("no %q in the sample", old)
		}
		return strings.Replace(string(good), old, new, 1)
	}
	dir := t.TempDir()
	for name, tt := range map[string]struct{ text, want string }{
		"empty":              {"", "it is empty"},
		"not json":           {"mirrors: [.]", "invalid character"},
		"cut off":            {string(good[:len(good)/2]), "unexpected EOF"},
		"text behind":        {string(good) + "{}", "after its end"},
		"unknown member":     {edit(`"arch"`, `"arhc"`), "arhc"},
		"other schema":       {edit("lock/v1", "lock/v2"), "mkbuild.lock/v2"},
		"no config":          {edit(`"config": "`+sumB, `"config": "`), "config"},
		"no kernel":          {edit("3.0.21-tinycore", ""), "kernel"},
		"time before 1970":   {edit("1348500000", "-1"), "source_date"},
		"time no image has":  {edit("1348500000", "4294967296"), "source_date"},
		"unknown kind":       {edit(`"kind": "iso"`, `"kind": "exe"`), "exe"},
		"path for a name":    {edit(`"name": "bash.tcz"`, `"name": "../bash.tcz"`), "../bash.tcz"},
		"absolute name":      {edit(`"name": "bash.tcz"`, `"name": "/etc/passwd"`), "file's name"},
		"path for an edge":   {edit(`"ncurses.tcz",`, `"a/../b",`), "a/../b"},
		"control characters": {edit("https://rubygems.org", `\u001b[31m`), "control"},
		"upper-case hash":    {edit(sumA, strings.ToUpper(sumA)), "sha256"},
		"short hash":         {edit(sumA, sumA[:63]), "sha256"},
		"bad md5":            {edit(`"md5": "`+md5A, `"md5": "zz`), "md5"},
		"negative size":      {edit(`"size": 3`, `"size": -3`), "size"},
		"twice":              {edit(`"name": "ncurses.tcz"`, `"name": "bash.tcz"`), "bash.tcz is listed twice"},
		"too large":          {strings.Repeat(" ", maxFile+1), "over"},
	} {
		file := filepath.Join(dir, strings.ReplaceAll(name, " ", "_"))
		testkit.Must(t, os.WriteFile(file, []byte(tt.text), 0o644))
		_, err := Load(file, "")
		if fail.ClassOf(err) != fail.Usage || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = Load(filepath.Join(dir, "nowhere"), "mkbuild lock --config x")
	if !errors.Is(err, ErrMissing) || fail.ClassOf(err) != fail.Drift || fail.HintOf(err) != "write it with `mkbuild lock --config x`" {
		t.Errorf("no file: %v", err)
	}
	if _, err := Load(dir, ""); fail.ClassOf(err) != fail.Usage {
		t.Errorf("a folder: %v", err)
	}
}

// A lock that was read can be written, and reads the same.
func FuzzParse(f *testing.F) {
	good, err := sample("/m").Text()
	testkit.Must(f, err)
	f.Add(good)
	f.Add([]byte(`{"schema":"mkbuild.lock/v1","inputs":[{}]}`))
	f.Add([]byte(`{"schema":"mkbuild.lock/v1","config":"` + sumA + `","release":"4","arch":"x86","kernel":"k","inputs":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := Parse(text)
		if err != nil {
			return
		}
		first, err := l.Text()
		testkit.Must(t, err)
		again, err := Parse(first)
		if err != nil {
			t.Fatalf("%v\n%s", err, first)
		}
		second, err := again.Text()
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%v\n%s\n%s", err, first, second)
		}
		if d := again.DriftFrom(l); len(d) > 0 {
			t.Fatalf("differs from itself: %v", d[0])
		}
		for _, in := range l.Inputs {
			if strings.ContainsAny(in.Name, "/\\\x00\n") || l.Find(in.Kind, in.Name) == nil {
				t.Fatalf("%q", in.Name)
			}
		}
	})
}

func TestDriftFrom(t *testing.T) {
	t.Parallel()
	changed := func(edit func(*Lock)) *Lock {
		l := sample("/m")
		edit(l)
		return l
	}
	for _, tt := range []struct {
		name string
		now  *Lock
		want []string
	}{
		{"nothing", sample("/elsewhere"), nil},
		{"what does not count", changed(func(l *Lock) {
			l.SourceDate, l.Command = 1, "x"
			in := l.Find(TCZ, "bash.tcz")
			in.Why, in.Licence, in.URL, in.MD5 = nil, "MIT", "http://x/", ""
		}), nil},
		{"hash", changed(func(l *Lock) { l.Find(TCZ, "bash.tcz").SHA256 = sumA }), []string{"check bash.tcz against the lock: sha256: locked " + sumB + ", now " + sumA}},
		{"order of edges", changed(func(l *Lock) { slices.Reverse(l.Find(TCZ, "bash.tcz").Needs) }), []string{"check bash.tcz against the lock: needs: locked ncurses.tcz bash.tcz, now bash.tcz ncurses.tcz"}},
		{"config", changed(func(l *Lock) { l.Config = sumA }), []string{"check configuration against the lock: it selects other inputs than the lock's"}},
		{"dropped and added", changed(func(l *Lock) { l.Inputs[3].Name = "new.tcz" }), []string{"check ncurses.tcz against the lock: input: locked " + sumA + ", now none", "check new.tcz against the lock: input: locked none, now " + sumA}},
		{"another kind", changed(func(l *Lock) { l.Inputs[0].Kind = MCollective; slices.SortFunc(l.Inputs, compareInputs) }), []string{"check stomp-1.2.0.gem against the lock: input: locked " + sumA + ", now none", "check stomp-1.2.0.gem against the lock: input: locked none, now " + sumA}},
	} {
		var got []string
		for _, d := range tt.now.DriftFrom(sample("/m")) {
			got = append(got, d.Error())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&DriftError{Input: "bash.tcz", What: "sha256", Want: sumA, Got: sumB}, "if you trust it, accept it with `mkbuild lock --update=bash.tcz`"},
		{&DriftError{Input: "bash.tcz", What: "needs", Got: "x", Command: "mkbuild lock --config x"}, "if you trust it, accept it with `mkbuild lock --config x --update=bash.tcz`"},
		{&DriftError{Input: "bash.tcz", What: Presence, Got: sumB}, "`mkbuild lock` locks new inputs and keeps the rest"},
		{&DriftError{Input: Configuration, What: "digest", Want: sumA, Got: sumB}, "`mkbuild lock` locks new inputs and keeps the rest"},
		{Drifts([]*DriftError{{Input: "a"}, {Input: "b"}}, "mkbuild lock"), "if you trust them, accept all with `mkbuild lock --update`, or one with `mkbuild lock --update=NAME`"},
		{sample("/m").Stale(&config.Config{}), "`mkbuild lock` locks new inputs and keeps the rest"},
	} {
		if got := fail.HintOf(tt.err); got != tt.want || fail.ClassOf(tt.err) != fail.Drift {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// TestStaleNamesKeys: a stale lock lists exactly the changed keys.
func TestStaleNamesKeys(t *testing.T) {
	t.Parallel()
	same := config.Config{Release: "4.5.2", Arch: "x86", Extensions: []string{"gone | bash", "openssh | -", "lshw | -"}, Picks: []config.Pick{{Extension: "util-linux"}}, Gems: config.Gems{Install: []config.Gem{{Name: "stomp", Version: "1.2.0"}}}}
	for want, edit := range map[string]func(*config.Config){
		": sha256 or missing":                           func(*config.Config) {},
		": release: locked 4.5.2, now 5.0":              func(c *config.Config) { c.Release = "5.0" },
		": extensions has scsi-3.0.21-tinycore.tcz now": func(c *config.Config) { c.Extensions = append(c.Extensions, "scsi-KERNEL") },
		": extensions no longer has bash.tcz":           func(c *config.Config) { c.Extensions = c.Extensions[1:] },
		": pick no longer has util-linux.tcz; rubygems or mcollective has rubygems-1.8.tgz now": func(c *config.Config) { c.Picks, c.RubyGems = nil, &config.Archive{Version: "1.8"} },
		": gems.install has stomp-1.3.gem now; gems.install no longer has stomp-1.2.0.gem":      func(c *config.Config) { c.Gems.Install = []config.Gem{{Name: "stomp", Version: "1.3"}} },
	} {
		c := same
		c.Extensions = slices.Clone(same.Extensions)
		edit(&c)
		if got := sample("/m").Stale(&c).Error(); !strings.HasSuffix(got, "the configuration has changed"+want) {
			t.Errorf("%s, want %q", got, want)
		}
	}
}

func TestWithout(t *testing.T) {
	t.Parallel()
	for names, want := range map[string]string{
		"":                       "stomp-1.2.0.gem Core-4.5.2.iso bash.tcz ncurses.tcz util-linux.tcz",
		"bash":                   "stomp-1.2.0.gem Core-4.5.2.iso util-linux.tcz",
		"ncurses.tcz":            "stomp-1.2.0.gem Core-4.5.2.iso bash.tcz util-linux.tcz",
		"stomp":                  "Core-4.5.2.iso bash.tcz ncurses.tcz util-linux.tcz",
		"stomp-1.2.0":            "Core-4.5.2.iso bash.tcz ncurses.tcz util-linux.tcz",
		"iso util-linux":         "stomp-1.2.0.gem bash.tcz ncurses.tcz",
		"tcz":                    "stomp-1.2.0.gem Core-4.5.2.iso",
		"Core-4.5.2 stom util":   "stomp-1.2.0.gem bash.tcz ncurses.tcz util-linux.tcz; unknown stom util",
		"stomp-1 bash.tcz.tcz x": "stomp-1.2.0.gem Core-4.5.2.iso bash.tcz ncurses.tcz util-linux.tcz; unknown stomp-1 bash.tcz.tcz x",
	} {
		l := sample("/m")
		rest, unknown := l.Without(strings.Fields(names)...)
		var got []string
		for _, in := range rest.Inputs {
			got = append(got, in.Name)
		}
		text := strings.Join(got, " ")
		if len(unknown) > 0 {
			text += "; unknown " + strings.Join(unknown, " ")
		}
		if text != want {
			t.Errorf("without %q: got %q, want %q", names, text, want)
		}
		if len(l.Inputs) != 5 {
			t.Errorf("without %q: the lock itself has changed", names)
		}
	}
}

func TestClosure(t *testing.T) {
	t.Parallel()
	l := sample("/m")
	got := l.Closure([]string{"bash.tcz", "nowhere.tcz"})
	if len(got) != 2 || !got[l.Find(TCZ, "bash.tcz")] || !got[l.Find(TCZ, "ncurses.tcz")] {
		t.Errorf("got %v", got)
	}
}

// The digest changes exactly with the keys that select inputs.
func TestDigest(t *testing.T) {
	t.Parallel()
	base := config.Default()
	want := Digest(&base)
	for name, tt := range map[string]struct {
		edit func(*config.Config)
		same bool
	}{
		"profile":        {func(c *config.Config) { c.Profile = "debug" }, true},
		"openssh itself": {func(c *config.Config) { c.Extensions = append(c.Extensions, "openssh") }, true},
		"order":          {func(c *config.Config) { slices.Reverse(c.Extensions) }, true},
		"ending, repeat": {func(c *config.Config) { c.Extensions = append(c.Extensions, "bash.tcz") }, true},
		"mirrors":        {func(c *config.Config) { c.Mirrors = []string{"x"} }, true},
		"urls":           {func(c *config.Config) { c.RubyGems.URL, c.MCollective.URL, c.Gems.Source = nil, nil, nil }, true},
		"server.cfg":     {func(c *config.Config) { c.MCollective.Server = map[string]*config.Value{"a": nil} }, true},
		"outputs, boot, overlay": {func(c *config.Config) {
			c.Image.Version, c.Boot.Append, c.Initrd.Level, c.Gems.Mode = "2", "quiet", 1, "boot"
			c.Overlay = []config.UserFiles{{Source: "a", Target: "/b"}}
			c.Client.Settings, c.OpenSSH.AuthorizedKeys = map[string]string{"server": "x"}, []string{"k"}
		}, true},
		"files of a pick":   {func(c *config.Config) { c.Picks = []config.Pick{{Extension: "util-linux", Files: []string{"x"}}} }, true},
		"release":           {func(c *config.Config) { c.Release = "4.7.7" }, false},
		"arch":              {func(c *config.Config) { c.Arch = "x86_64" }, false},
		"extension":         {func(c *config.Config) { c.Extensions = c.Extensions[1:] }, false},
		"missing":           {func(c *config.Config) { c.Missing = []string{"x"} }, false},
		"pick":              {func(c *config.Config) { c.Picks = nil }, false},
		"rubygems":          {func(c *config.Config) { c.RubyGems = nil }, false},
		"rubygems' version": {func(c *config.Config) { c.RubyGems = &config.Archive{Version: "1.8.16"} }, false},
		"rubygems' hash":    {func(c *config.Config) { c.RubyGems = &config.Archive{Version: c.RubyGems.Version, SHA256: sumA} }, false},
		"mcollective":       {func(c *config.Config) { c.MCollective = nil }, false},
		"gem":               {func(c *config.Config) { c.Gems.Install = c.Gems.Install[1:] }, false},
		"gem's hash":        {func(c *config.Config) { c.Gems.Install[0].SHA256 = sumA }, false},
	} {
		c := config.Default()
		tt.edit(&c)
		if got := Digest(&c); (got == want) != tt.same {
			t.Errorf("%s: the digest is the same: %v", name, got == want)
		}
	}
}

func TestAdd(t *testing.T) {
	t.Parallel()
	var l Lock
	l.Add(Input{Kind: TCZ, Name: "b.tcz", SHA256: sumA, Why: []string{"z.tcz", "a.tcz", WhyPick, "a.tcz"}})
	l.Add(Input{Kind: Gem, Name: "g.gem", SHA256: sumA})
	l.Add(Input{Kind: TCZ, Name: "b.tcz", Why: []string{WhyDev, WhyConfig}, Needs: []string{"x.tcz"}, MD5: md5A, Licence: "MIT"})
	got := l.Inputs
	if len(got) != 2 || got[0].Kind != Gem || strings.Join(got[1].Why, ", ") != "configuration, profile dev, pick, a.tcz, z.tcz" ||
		got[1].Licence != "MIT" || got[1].MD5 != md5A || len(got[1].Needs) != 1 {
		t.Errorf("%+v", got)
	}
}
