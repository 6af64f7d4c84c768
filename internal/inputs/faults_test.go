package inputs

import (
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/fetch"
	"mkbuild/internal/tcz"
)

func TestMirrorFaults(t *testing.T) {
	t.Parallel()
	const iso, ext, sum = "Core-4.5.2.iso", "/bash.tcz", "/bash.tcz.md5.txt"
	tests := []struct {
		name, file string
		fault      tinymirror.Fault
		class      func(error) bool
		names      []string // required in the message
	}{
		{"the ISO's digest gone", iso + ".md5.txt", tinymirror.Gone, nil, []string{"has no Core-4.5.2.iso.md5.txt"}},
		{"ISO gone", iso, tinymirror.Gone, is(fetch.ErrNotFound), []string{iso}},
		{"ISO server fails", iso, tinymirror.Failing, is(fetch.ErrUnreachable), []string{iso, "500"}},
		{"ISO server dies", iso, tinymirror.Dying, is(fetch.ErrUnreachable), []string{iso}},
		{"ISO truncated", iso, tinymirror.Shrinking, is(fetch.ErrUnreachable), []string{iso}},
		{"ISO too short", iso, tinymirror.Short, as[*fetch.ChecksumError], []string{iso, "md5"}},
		{"ISO with a wrong byte", iso, tinymirror.Lying, as[*fetch.ChecksumError], []string{iso, "md5"}},
		{"a page in place of the ISO", iso, tinymirror.HTML, is(fetch.ErrContent), []string{iso, "HTML"}},
		{"a page in place of its digest", iso + ".md5.txt", tinymirror.HTML, is(fetch.ErrContent), []string{iso + ".md5.txt", "HTML"}},
		{"digest of nothing", iso + ".md5.txt", tinymirror.Short, is(tcz.ErrMD5File), []string{iso + ".md5.txt"}},
		{"extension gone", ext, tinymirror.Gone, is(fetch.ErrNotFound), []string{"bash.tcz"}},
		{"extension's digest gone", sum, tinymirror.Gone, nil, []string{"has no bash.tcz.md5.txt"}},
		{"extension's server fails", ext, tinymirror.Failing, is(fetch.ErrUnreachable), []string{"bash.tcz"}},
		{"extension's server dies", ext, tinymirror.Dying, is(fetch.ErrUnreachable), []string{"bash.tcz"}},
		{"extension truncated", ext, tinymirror.Shrinking, is(fetch.ErrUnreachable), []string{"bash.tcz"}},
		{"extension with a wrong byte", ext, tinymirror.Lying, as[*fetch.ChecksumError], []string{"bash.tcz", "md5"}},
		{"a page in place of the extension", ext, tinymirror.HTML, is(fetch.ErrContent), []string{"bash.tcz", "HTML"}},
		{"a page in place of its .dep", "/bash.tcz.dep", tinymirror.HTML, is(fetch.ErrContent), []string{"bash.tcz.dep", "HTML"}},
		{"its .dep cannot be had", "/bash.tcz.dep", tinymirror.Failing, is(fetch.ErrUnreachable), []string{"bash.tcz.dep"}},
		{"dependency gone", "/ncurses-common.tcz.md5.txt", tinymirror.Gone, nil, []string{"has no ncurses-common.tcz.md5.txt", "bash.tcz → ncurses.tcz"}},
		{"picked extension gone", "/util-linux.tcz.md5.txt", tinymirror.Gone, is(fetch.ErrNotFound), []string{"util-linux.tcz"}},
		{"picked extension with a wrong byte", "/util-linux.tcz", tinymirror.Lying, as[*fetch.ChecksumError], []string{"util-linux.tcz"}},
		{"RubyGems gone", "rubygems-1.8.15.tgz", tinymirror.Gone, is(fetch.ErrNotFound), []string{"rubygems-1.8.15"}},
		{"a page in place of RubyGems", "rubygems-1.8.15.tgz", tinymirror.HTML, is(fetch.ErrContent), []string{"rubygems-1.8.15", "HTML"}},
		{"RubyGems cut off", "rubygems-1.8.15.tgz", tinymirror.Short, nil, []string{"rubygems-1.8.15"}},
		{"MCollective gone", "mcollective-1.2.1.tgz", tinymirror.Gone, is(fetch.ErrNotFound), []string{"mcollective-1.2.1"}},
		{"a gem is gone", "stomp-1.2.0.gem", tinymirror.Gone, is(fetch.ErrNotFound), []string{"stomp-1.2.0.gem"}},
		{"a gem is cut off", "stomp-1.2.0.gem", tinymirror.Short, nil, []string{"stomp-1.2.0.gem"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			srv := tinymirror.ServeDir(t, pristine)
			srv.Break(tc.file, tc.fault)
			o, _ := options(t.TempDir())
			_, err := gather(t, planAt(t, srv.URL, few), o)
			if err == nil || tc.class != nil && !tc.class(err) {
				t.Fatalf("got %T: %v", err, err)
			}
			for _, n := range tc.names {
				if !strings.Contains(err.Error(), n) {
					t.Errorf("%q is not named in: %v", n, err)
				}
			}
			testkit.CheckCache(t, o.Fetch.Store.Dir)
			// After the mirror is repaired, the same cache works.
			srv.Break("", nil)
			o, _ = options(o.Fetch.Store.Dir)
			gathered(t, planAt(t, srv.URL, few), o)
		})
	}
}

// Files that one mirror lacks, or has wrong, come from the next.
func TestSecondMirrorHelps(t *testing.T) {
	t.Parallel()
	o, _ := options(t.TempDir())
	want := deciding(gathered(t, plan(t, pristine, few), o))
	for _, tc := range []struct {
		name, file string
		fault      tinymirror.Fault
	}{
		{"all gone", "", tinymirror.Gone},
		{"all failing", "", tinymirror.Failing},
		{"ISO lying", ".iso", tinymirror.Lying},
		{"ISO dying", ".iso", tinymirror.Dying},
		{"no digests", ".md5.txt", tinymirror.Gone},
		{"pages in place of digests", ".md5.txt", tinymirror.HTML},
		{"extension gone", "/bash.tcz", tinymirror.Gone},
		{"extension lying", "/bash.tcz", tinymirror.Lying},
		{"extension's digest failing", "/ruby.tcz.md5.txt", tinymirror.Failing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			bad := tinymirror.ServeDir(t, pristine)
			bad.Break(tc.file, tc.fault)
			o, _ := options(t.TempDir())
			p := planAt(t, tinymirror.ServeDir(t, pristine).URL, few, func(c *config.Config) { c.Mirrors = append(config.URLs{bad.URL}, c.Mirrors...) })
			if got := deciding(gathered(t, p, o)); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
