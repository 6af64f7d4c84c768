package profile

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// KeyFile holds the authorized keys of every account. It is not in a home directory: Tiny Core makes /home/tc
// while booting, if it is missing. It is not below /usr/local: extensions make parts of that writable by the
// staff group, which StrictModes refuses.
const KeyFile = "etc/mkbuild/authorized_keys"

// server has the paths of an openssh extension's parts; builds differ.
type server struct {
	sshd, keygen, confDir, sftp, initScript string // absolute; sftp and initScript may be empty
}

// noServer is the error of an image without an ssh server.
func noServer(program string) error {
	return fail.New(fail.Usage, "configure ssh: the image has no "+program, "add openssh to `extensions` in mkbuild.yaml, or build with --profile prod")
}

// findSSH looks the server's parts up among the image's files.
func findSSH(t *overlay.Tree) (server, error) {
	s := server{confDir: "/usr/local/etc/ssh"}
	for _, e := range t.Entries() {
		if e.IsDir() {
			continue
		}
		abs := "/" + e.Path
		switch base := path.Base(e.Path); {
		case base == "sshd" && liesIn(e.Path, "sbin"):
			s.sshd = abs
		case base == "ssh-keygen" && liesIn(e.Path, "bin", "sbin"):
			s.keygen = abs
		case base == "sftp-server" && liesIn(e.Path, "libexec", "lib", "openssh", "ssh", "bin", "sbin"):
			s.sftp = abs
		case strings.HasPrefix(base, "sshd_config") && strings.Contains(abs, "/etc/"): // as .example or .orig
			s.confDir = path.Dir(abs)
		case e.Path == "usr/local/etc/init.d/openssh":
			s.initScript = abs
		}
	}
	if s.sshd == "" {
		return s, noServer("sshd")
	}
	if s.keygen == "" {
		return s, noServer("ssh-keygen")
	}
	return s, nil
}

// liesIn reports whether a file lies directly in a folder of one of the names, as programs do. Files below share
// or doc, such as a shell's completions, only share a program's name.
func liesIn(file string, folders ...string) bool {
	parts := strings.Split(path.Dir(file), "/")
	return slices.Contains(folders, parts[len(parts)-1]) && !slices.Contains(parts, "share") && !slices.Contains(parts, "doc")
}

// start is the shell text that makes missing host keys and starts the server. Finding an RSA key takes minutes on
// a slow machine, so it is made only if ssh-keygen can make no other; version 5.8 of TCL 4.x makes ecdsa but not
// ed25519.
func (s server) start() string {
	run := s.sshd + " -f " + s.confDir + "/sshd_config"
	if s.initScript != "" {
		run = s.initScript + " start"
	}
	return fmt.Sprintf(`
# Host keys are made here, on the first boot: one baked into an image would be public.
mkdir -p %[1]s /var/empty /var/lib/sshd /run/sshd
hostkey() {
	key=%[1]s/ssh_host_$1_key
	[ -s $key ] || %[2]s -q -t $1 -N '' -f $key </dev/null >/dev/null 2>&1 || { rm -f $key; return 1; }
}
hostkey ed25519; hostkey ecdsa || hostkey rsa
%[3]s </dev/null
`, s.confDir, s.keygen, run)
}

// config is sshd_config: only keys, and only words that OpenSSH 5.8 to 9.x support.
func (s server) config() string {
	text := `# Made by mkbuild: public keys alone.
PubkeyAuthentication yes
PasswordAuthentication no
ChallengeResponseAuthentication no
PermitEmptyPasswords no
PermitRootLogin without-password
AuthorizedKeysFile /` + KeyFile + `
UseDNS no
`
	if s.sftp != "" {
		text += "Subsystem sftp " + s.sftp + "\n"
	}
	return text
}

// sshServer configures the server of dev and debug.
func sshServer(e *edit) error {
	if !e.hasSSH() {
		return nil
	}
	s, err := findSSH(e.tree)
	if err != nil {
		return err
	}
	if len(e.Keys) == 0 {
		return errors.New("configure ssh: no authorized key, and there is no other way in")
	}
	for _, file := range []overlay.Entry{
		overlay.Dir(path.Dir(KeyFile), 0o755), // StrictModes: root's, writable by root alone, up to "/"
		overlay.File(KeyFile, 0o644, join(e.Keys)),
		overlay.File(strings.TrimPrefix(s.confDir, "/")+"/sshd_config", 0o644, []byte(s.config())),
	} {
		if err := e.out.Put(file); err != nil {
			return err
		}
	}
	return nil
}
