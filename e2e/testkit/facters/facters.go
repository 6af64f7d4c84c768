// Package facters has the Facters for tests of mk-client: stand-ins for its versions, and real Facters.
package facters

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"mkbuild/e2e/testkit"
)

//go:embed facter.rb
var standIn string

// Shell is a shell Facter of version 2.5 that reads external facts only as NAME=VALUE text.
const Shell = `
dirs=; json=
while [ $# -gt 0 ]; do
  case "$1" in
  --version) echo 2.5.7; exit 0 ;;
  --json) json=1 ;;
  --external-dir) dirs=$2; shift ;;
  *) exit 12 ;;
  esac
  shift
done
out='{"macaddress_eth0":"52:54:00:00:00:01"'
for f in $dirs/*; do
  [ -f "$f" ] || continue
  case "$f" in
  *.txt) lines=$(while IFS= read -r l || [ -n "$l" ]; do printf '%s\n' "$l"; done < "$f") ;;
  *) [ -x "$f" ] || continue; lines=$("$f") ;;
  esac
  while IFS= read -r l; do
    case "$l" in *=*) out="$out,\"${l%%=*}\":\"${l#*=}\"" ;; esac
  done <<END
$lines
END
done
echo "$out}"`

// Facter is a script for /bin/sh that acts as Facter in a test.
type Facter struct{ Name, Script string }

// All lists the available Facters: the stand-ins for each version, Debian's real Facter, and real ones of any
// version in directories below $MKBUILD_FACTERS (lib/ and bin/facter each).
func All(t *testing.T) []Facter {
	t.Helper()
	ruby := testkit.Tool(t, "ruby")
	fake := filepath.Join(t.TempDir(), "facter.rb")
	testkit.WriteFile(t, fake, standIn, 0o644)
	var list []Facter
	for _, v := range []string{"1.6.18", "1.7.6", "2.5.7", "4.10.0"} {
		list = append(list, Facter{"stand-in " + v, fmt.Sprintf("exec %s --disable=gems %s %s \"$@\"", ruby, fake, v)})
	}
	if p, err := exec.LookPath("facter"); err == nil {
		list = append(list, Facter{"debian", "exec " + p + ` "$@"`})
	} else if os.Getenv("MKBUILD_REQUIRE_TOOLS") == "1" {
		t.Fatal("facter is required here (MKBUILD_REQUIRE_TOOLS=1)")
	}
	dirs, _ := filepath.Glob(filepath.Join(os.Getenv("MKBUILD_FACTERS"), "*/lib/facter.rb"))
	for _, d := range dirs {
		d = filepath.Dir(filepath.Dir(d))
		list = append(list, Facter{"real " + filepath.Base(d), fmt.Sprintf("exec %s -W0 -I %s/lib %s/bin/facter \"$@\"", ruby, d, d)})
	}
	return list
}

// EachStandIn runs a test with every Facter except Debian's, which is slow.
func EachStandIn(t *testing.T, test func(t *testing.T, script string)) {
	eachOf(t, slices.DeleteFunc(All(t), func(f Facter) bool { return f.Name == "debian" }), test)
}

// Each runs a test with every Facter.
func Each(t *testing.T, test func(t *testing.T, script string)) {
	eachOf(t, All(t), test)
}

func eachOf(t *testing.T, list []Facter, test func(t *testing.T, script string)) {
	for _, f := range list {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			test(t, f.Script)
		})
	}
}
