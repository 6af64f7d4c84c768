package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"mkbuild/internal/clientbin"
	"mkbuild/internal/config"
)

const versionSchema = "mkbuild.version/v1"

// Set by the Makefile; a plain `go build` takes them from the module's own data.
var version, commit, commitTime string

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// buildInfo is the output of `version`.
type buildInfo struct {
	Schema   string       `json:"schema"`
	Version  string       `json:"version"`
	Commit   string       `json:"commit,omitempty"`   // empty in a build outside git
	Time     string       `json:"time,omitempty"`     // of the commit, RFC 3339
	Modified bool         `json:"modified,omitempty"` // the tree had uncommitted changes
	Go       string       `json:"go"`
	OS       string       `json:"os"`
	Arch     string       `json:"arch"`
	Clients  []clientInfo `json:"clients"` // none in a mkbuild built without it
}

// clientInfo describes an mk-client inside mkbuild.
type clientInfo struct {
	Arch   string `json:"arch"` // as in mkbuild.yaml
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // of the unpacked program
}

func versionCommand(w *world) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version, how it was built, and the clients inside",
		Long: `Print mkbuild's version, the commit and the Go release of its build, and the mk-client
programs that it puts into images, each with the SHA-256 of the program itself.`,
		Example: `  mkbuild version
  mkbuild version --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b, err := readBuildInfo(w)
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(w.stdout, b)
			}
			return b.print(w.stdout)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON ("+versionSchema+")")
	return c
}

func readBuildInfo(w *world) (buildInfo, error) {
	b := buildInfo{Schema: versionSchema, Version: versionText(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Clients: []clientInfo{}}
	b.Commit, b.Time, b.Modified = buildCommit()
	for _, arch := range config.Choices("arch") {
		program, err := w.client(arch)
		if errors.Is(err, clientbin.ErrMissing) {
			continue
		}
		if err != nil {
			return b, err
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, program); err != nil {
			return b, err
		}
		b.Clients = append(b.Clients, clientInfo{arch, program.Size(), fmt.Sprintf("%x", sum.Sum(nil))})
	}
	return b, nil
}

// buildCommit returns the commit of the build; "" if unknown.
func buildCommit() (revision, when string, modified bool) {
	if commit != "" {
		return commit, commitTime, strings.HasSuffix(version, "-dirty")
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", "", false
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.time":
			when = s.Value
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	return revision, when, modified
}

func (b *buildInfo) print(w io.Writer) error {
	var t strings.Builder
	fmt.Fprintf(&t, "mkbuild %s\n", b.Version)
	if b.Commit != "" {
		fmt.Fprintf(&t, "commit  %s", b.Commit)
		if b.Time != "" {
			fmt.Fprintf(&t, " of %s", b.Time)
		}
		if b.Modified {
			t.WriteString(", modified")
		}
		t.WriteByte('\n')
	}
	fmt.Fprintf(&t, "built   with %s for %s/%s\n", b.Go, b.OS, b.Arch)
	for _, c := range b.Clients {
		fmt.Fprintf(&t, "client  %-6s %9d bytes, sha256 %s\n", c.Arch, c.Size, c.SHA256)
	}
	if len(b.Clients) == 0 {
		t.WriteString("client  none: `make build` builds mkbuild with it\n")
	}
	_, err := io.WriteString(w, t.String())
	return err
}
