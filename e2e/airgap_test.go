package e2e

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"

	"mkbuild/e2e/testkit"
)

// TestAirGap builds both profiles with the real program in a network namespace without a loopback, from a mirror
// that mkbuild wrote: the bytes equal those of a build from the original inputs.
func TestAirGap(t *testing.T) {
	t.Parallel()
	f := setup(t)
	nonet, err := testkit.NoNetwork()
	if err != nil && !testkit.Required() {
		t.Skip(err)
	}
	testkit.Must(t, err)
	dir := t.TempDir()
	key := filepath.Join(dir, "id.pub")
	testkit.Run(t, "ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", filepath.Join(dir, "id"))
	config := f.config(t, dir, with("openssh: {authorized_keys: ["+key+"]}\n"))
	airgap := filepath.Join(dir, "airgap")
	mkbuild := func(program []string, args ...string) {
		t.Helper()
		args = append(program[1:], args...)
		cmd := exec.CommandContext(t.Context(), program[0], append(args, "--progress", "plain")...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", program[0], args, err, out)
		}
	}
	here, there := []string{f.mkbuild}, append(nonet, f.mkbuild)
	cache := "--cache-dir=" + filepath.Join(f.dir, "cache")
	mkbuild(here, "lock", "--config", config, cache)
	mkbuild(here, "mirror", airgap, "--config", config, cache, "--locked")
	for _, profile := range []string{"prod", "dev"} {
		iso := func(name string) string { return filepath.Join(dir, profile+"-"+name+".iso") }
		mkbuild(here, "iso", "--config", config, cache, "--locked", "--profile", profile, "-o", iso("here"))
		mkbuild(there, "iso", "--config", config, "--mirror", airgap, "--locked", "--profile", profile, "--cache-dir", filepath.Join(dir, "one"), "-o", iso("mirror"))
		mkbuild(there, "iso", "--config", filepath.Join(airgap, "mkbuild.yaml"), "--locked", "--profile", profile, "--cache-dir", filepath.Join(dir, "two"), "-o", iso("config"))
		want := digest(t, iso("here"))
		for _, name := range []string{"mirror", "config"} {
			if digest(t, iso(name)) != want {
				t.Errorf("%s: %s has other bytes than %s", profile, iso(name), iso("here"))
			}
		}
	}
	cmd := exec.CommandContext(t.Context(), there[0], append(there[1:], "iso", "--mirror", "http://127.0.0.1:1/", "--cache-dir", filepath.Join(dir, "three"), "-o", filepath.Join(dir, "x.iso"))...)
	if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("network is unreachable")) {
		t.Errorf("the namespace has a network: %v\n%s", err, out)
	}
}
