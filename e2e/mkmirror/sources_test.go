package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

func TestDebianSources(t *testing.T) {
	const deb822 = `Types: deb deb-src
# a comment
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://packages.example.com/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/example.gpg

Types: deb-src
URIs: http://deb.debian.org/debian
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
`
	const list = `# deb http://commented.example/debian bookworm main
deb http://ftp.example.org/debian bookworm main non-free # note
deb [arch=amd64 signed-by=/k/vendor.gpg] https://vendor.example/debian bookworm main
deb [arch=amd64] https://cloud.example/apt cloud-sdk main
deb-src http://ftp.example.org/debian bookworm main
deb ] [ broken
deb http://short.example/debian
`
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  []string
		not   []string
	}{
		{
			"deb822", map[string]string{"sources.list.d/debian.sources": deb822},
			[]string{"URIs: http://deb.debian.org/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"}, []string{"example", "off.", "contrib"},
		},
		{
			"one line", map[string]string{"sources.list": list},
			[]string{"URIs: http://ftp.example.org/debian\nSuites: bookworm\nComponents: main\n"}, []string{"commented", "vendor", "cloud", "short", "non-free"},
		},
		{"disabled by suffix", map[string]string{"sources.list.d/x.list.disabled": list}, []string{"deb.debian.org"}, []string{"ftp.example.org"}},
		{"nothing", nil, []string{"deb.debian.org"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tc.files {
				writeTestFile(t, filepath.Join(dir, name), text)
			}
			got, err := debianSources(dir)
			testkit.Must(t, err)
			for _, w := range tc.want {
				if !strings.Contains(got, w) {
					t.Errorf("no %q in:\n%s", w, got)
				}
			}
			for _, n := range tc.not {
				if strings.Contains(got, n) {
					t.Errorf("%q in:\n%s", n, got)
				}
			}
		})
	}
}

func TestInlineKeyIsJudgedByAddress(t *testing.T) {
	const key = "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"
	const debian = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n"
	const other = "Types: deb\nURIs: http://mirror.example/vendor\nSuites: any\nComponents: main\n"
	if got := parseDeb822(debian + key); len(got) != 1 || strings.Contains(got[0], "Signed-By") {
		t.Errorf("got %q", got)
	}
	if got := parseDeb822(other + key); got != nil {
		t.Errorf("got %q", got)
	}
}

func TestDebNames(t *testing.T) {
	const show = "Package: bash\nVersion: 5.2-1\nArchitecture: i386\n\nPackage: busybox-static\nVersion: 1:1.35+b1\nArchitecture: i386\nDescription: x\n more\n\nPackage: half\n"
	got := strings.Join(debNames(show), " ")
	if want := "bash_5.2-1_i386.deb busybox-static_1%3a1.35+b1_i386.deb"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if p, v := packageOf("/x/busybox-static_1%3a1.35_i386.deb"), versionOf("/x/busybox-static_1%3a1.35_i386.deb"); p != "busybox-static" || v != "1:1.35" {
		t.Errorf("got %q %q", p, v)
	}
}

func TestKernelDepends(t *testing.T) {
	m := kernelDepends.FindStringSubmatch("Package: linux-image-686\nDepends: linux-image-6.1.0-50-686 (= 6.1.176-1)\n")
	if m == nil || m[1] != "linux-image-6.1.0-50-686" {
		t.Errorf("got %q", m)
	}
}

func TestUpstreamVersion(t *testing.T) {
	p := &pool{debs: map[string]string{"a": "a_1%3a2.12.5+dfsg-1.1_all.deb", "b": "b_3.3.15-2+deb12u1_all.deb", "c": "c_1.0_all.deb"}}
	for pkg, want := range map[string]string{"a": "2.12.5", "b": "3.3.15", "c": "1.0", "none": ""} {
		if got := p.upstream(pkg); got != want {
			t.Errorf("%s: got %q, want %q", pkg, got, want)
		}
	}
}

func writeTestFile(t *testing.T, name, text string) {
	t.Helper()
	testkit.Must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	testkit.Must(t, os.WriteFile(name, []byte(text), 0o644))
}
