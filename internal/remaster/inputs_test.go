package remaster

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/internal/config"
	"mkbuild/internal/lock"
)

// described renders what is known of each input, but hashes.
func described(inputs []lock.Input) []string {
	var out []string
	for _, in := range inputs {
		out = append(out, fmt.Sprintf("%s %s: %s; needs %s; %s", in.Kind, in.Name, strings.Join(in.Why, ", "), strings.Join(in.Needs, " "), in.Licence))
	}
	return out
}

func TestInputs(t *testing.T) {
	t.Parallel()
	_, s, _ := staged(t, plan(t, pristine, profileOf("dev"), func(c *config.Config) {
		c.Extensions = []string{"ruby", "bash", "scsi-KERNEL", "util-linux"}
	}))
	want := []string{
		"gem daemons-1.1.8.gem: configuration; needs ; ",
		"gem stomp-1.2.0.gem: configuration; needs ; ",
		"iso Core-4.5.2.iso: configuration; needs ; ",
		"mcollective mcollective-1.2.1.tgz: configuration; needs ; ",
		"rubygems rubygems-1.8.15.tgz: configuration; needs ; ",
		"tcz bash.tcz: configuration; needs ncurses.tcz; GPL v3 or later",
		"tcz gcc_libs.tcz: openssh.tcz, openssl-1.0.0.tcz; needs openssl-1.0.0.tcz; ",
		"tcz ncurses-common.tcz: ncurses.tcz; needs ; ",
		"tcz ncurses.tcz: bash.tcz; needs ncurses-common.tcz; ",
		"tcz openssh.tcz: profile dev; needs openssl-1.0.0.tcz gcc_libs.tcz; ",
		"tcz openssl-1.0.0.tcz: gcc_libs.tcz, openssh.tcz; needs gcc_libs.tcz; ",
		"tcz ruby.tcz: configuration; needs ; ",
		"tcz scsi-3.0.21-tinycore.tcz: configuration; needs ; ",
		"tcz util-linux.tcz: configuration, pick; needs ; ",
	}
	if got := described(s.Inputs()); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, in := range s.Inputs() {
		b, err := os.ReadFile(in.URL)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != in.SHA256 || in.Size != int64(len(b)) || filepath.Base(in.URL) != in.Name {
			t.Errorf("%+v: the file has %s and %d bytes", in, got, len(b))
		}
		if upstream := in.Kind == lock.ISO || in.Kind == lock.TCZ; upstream != (in.MD5 != "") {
			t.Errorf("%s: md5 %q", in.Name, in.MD5)
		}
	}
}
