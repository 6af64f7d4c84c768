package razor

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// BootFile opens the kernel or the initrd that nodes boot, from wherever it is: an image
// directory, or straight out of an ISO. It is called once per request; a closer is closed.
type BootFile func() (content io.ReadSeeker, modTime time.Time, err error)

// Options say what a [Server] serves and how.
type Options struct {
	// Config is Razor's own configuration, see [LoadConfig].
	Config Config
	// RulesFile holds tags and policies, see [LoadRules]; "" means none. It is followed.
	RulesFile string
	// DataDir holds the database; it is made if it is missing.
	DataDir string
	// HTTPCorrect answers as RFC 9110 has it (304, 206, 415, …) instead of as Razor does.
	HTTPCorrect bool
	// DryRun answers "none" always and binds nothing, but shows what would happen.
	DryRun bool
	// Faults are injected from the start, see [ParseFault].
	Faults []Fault
	// Kernel and Initrd are /svc/repo/microkernel/vmlinuz0 and initrd0.img; nil is 404.
	Kernel, Initrd BootFile
	// PackDir zips a directory that microkernel.extension-zip names; nil refuses directories.
	PackDir func(dir string) (zip []byte, modTime time.Time, err error)
	// Token allows requests that change something; [NewToken] makes one. It must be long.
	Token string
	// Hosts are names besides localhost and IP addresses under which a browser may ask for the
	// page and the API. Other names are refused: a foreign web site could point one at us.
	Hosts []string
	// CheckedIn, when set, is called after each check-in with the node's name and the facts as it
	// sent them; it must not block.
	CheckedIn func(node string, facts map[string]any)
	// Log takes the structured log; nil discards it.
	Log *slog.Logger
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// ErrToken says that a token is too weak to guard anything.
var ErrToken = errors.New("unusable token")

// minToken is the least length of a token, in bytes.
const minToken = 16

// Validate checks the options that a mistake could make dangerous.
func (o *Options) Validate() error {
	if o.DataDir == "" {
		return errors.New("serve: a data directory is needed")
	}
	if len(o.Token) < minToken || strings.TrimSpace(o.Token) != o.Token {
		return fmt.Errorf("serve: %w: it must have at least %d characters and no blanks around it", ErrToken, minToken)
	}
	return nil
}

// NewToken makes a random token of 128 bits.
func NewToken() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}
