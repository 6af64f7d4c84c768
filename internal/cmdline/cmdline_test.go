package cmdline

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestSplit splits like lib/cmdline.c.
func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		line string
		want [][2]string
	}{
		{"", nil},
		{" quiet  loglevel=3\tx=", [][2]string{{"quiet", ""}, {"loglevel", "3"}, {"x", ""}}},
		{`"rdinit=/bin/sh"`, [][2]string{{"rdinit", "/bin/sh"}}},
		{`rdinit="/bin/sh" a`, [][2]string{{"rdinit", "/bin/sh"}, {"a", ""}}},
		{`"a b=c d" e`, [][2]string{{"a b", "c d"}, {"e", ""}}},
		{`x="a b" y`, [][2]string{{"x", "a b"}, {"y", ""}}},
		{`x=a" "b`, [][2]string{{"x", `a" "b`}}},
		{`"open init=/x`, [][2]string{{"open init", "/x"}}},
		{"a\xa0rdinit=/bin/sh", [][2]string{{"a", ""}, {"rdinit", "/bin/sh"}}},
		{"=x", [][2]string{{"", "x"}}},
	} {
		var got [][2]string
		for _, a := range Split(tt.line) {
			got = append(got, [2]string{a.Name, a.Value})
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q:\n got %q\nwant %q", tt.line, got, tt.want)
		}
	}
}

// TestAddAndRemove: added arguments come before a --, once, and can be removed.
func TestAddAndRemove(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"", "a b=c"},
		{"quiet", "quiet a b=c"},
		{"quiet -- x", "quiet a b=c -- x"},
		{"-- quiet", "a b=c -- quiet"},
		{`"x -- y" z`, `"x -- y" z a b=c`},
		{"x--", "x-- a b=c"},
	} {
		got := Add(tt.line, "a b=c")
		if got != tt.want || Add(got, "a b=c") != got {
			t.Errorf("%q: %q, again %q", tt.line, got, Add(got, "a b=c"))
		}
		if back := Remove(got, "a b=c"); back != tt.line {
			t.Errorf("%q: comes back as %q", tt.line, back)
		}
	}
	if got := Remove("xa b=c", "a b=c"); got != "xa b=c" {
		t.Errorf("removed %q", got)
	}
}

// TestWaysIn tests the allowed and the refused arguments of a prod image.
func TestWaysIn(t *testing.T) {
	for _, line := range []string{
		"", "quiet loglevel=3 console=ttyS0,115200 nozswap", "rdinit=/init init=/sbin/init", `razor.fact.rack="row 3"`, "host=box waitusb=5 noautologin tz=UTC", "quiet -- quiet",
		"blacklist=floppy syslog cron nodhcp",
	} {
		if got := WaysIn(line, nil); got != nil {
			t.Errorf("%q: %q", line, got)
		}
	}
	for _, line := range []string{
		"rdinit=/bin/sh", `"rdinit=/bin/sh"`, `rdinit="/bin/sh"`, `"rdinit"=/bin/sh`, "init=/bin/sh", "-- rdinit=/bin/sh", "quiet\xa0rdinit=/bin/sh", "rdinit=/init rdinit=/bin/sh",
		"single", "1", "S", "emergency", "user=bob", "username=bob", "multivt", "razor.multivt=1", "razor.fact.x=multivt", "razor.fact.x=a-multivt", "tce=sda1", "restore=sda1", "mydata=x",
		"superuser", "secure", "protect", "cde", "lst=x.lst", "opt=sda1", "home=sda1", "pretce=sda1", "tftplist=1.2.3.4:x", "httplist=1.2.3.4:x", "nfsmount=1.2.3.4:/x", "nbd=1.2.3.4:1", "iso=sda1",
		"nodhcp=sh", "kgdboc=ttyS0", "resume=/dev/sda2", "noinitrd", "sysrq_always_enabled", "madeup=1", `razor.fact.x="a user=bob"`, `razor.fact.x="a superuser"`, `razor.fact.x="open`, "initrd=/boot/other.gz",
	} {
		if got := WaysIn(line, nil); len(got) == 0 {
			t.Errorf("%q is let through", line)
		}
	}
	if got := WaysIn("madeup=1 cde user=bob user=eve", []string{"madeup", "cde", "user=bob"}); len(got) != 1 || !strings.Contains(got[0], "user=eve") {
		t.Errorf("allowed: %q", got)
	}
}

func TestCheck(t *testing.T) {
	for _, args := range []string{"a\nb", "a\x00", `"a`, "a -- b"} {
		if err := Check("config boot.append", args); err == nil || !strings.Contains(err.Error(), "boot.append") {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := Check("x", `a="b c" --d`); err != nil {
		t.Error(err)
	}
}

// TestPage: the page in docs has each harmless argument.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/boot-arguments.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range harmless() {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/boot-arguments.md lacks %s", name)
		}
	}
}
