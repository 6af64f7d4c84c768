package extension

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
)

// Row describes one member for people.
type Row struct {
	Path    string `json:"path"`
	Mode    string `json:"mode"` // as the client makes it: "-rwxr-xr-x"
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256,omitempty"` // of regular files that the client takes
	Link    string `json:"link,omitempty"`
	Refused string `json:"refused,omitempty"` // why the client does not take it
}

// Role says what the client does with a top-level directory, "" for nothing.
func Role(name string) string {
	switch name {
	case "bin":
		return "in front of PATH of Facter and all facts"
	case "lib":
		return "in front of LD_LIBRARY_PATH; lib/ruby in front of RUBYLIB, lib/ruby/facter/*.rb are custom facts"
	case "facts.d":
		return "read by Facter as external facts"
	}
	return ""
}

// List describes every member and reads those that the client takes, within the limits that s
// was read with: those beyond the limit on the total size are left out. A damaged member is told in its row and in the source's Refused.
func List(ctx context.Context, s *Source) ([]Row, error) {
	rows := make([]Row, 0, len(s.Files))
	var read int64
	for i := range s.Files {
		f := &s.Files[i]
		row := Row{Path: f.Path, Mode: modeText(f.Mode), Size: f.Size, Link: f.Link, Refused: f.Refused}
		if f.IsRegular() {
			if read += f.Size; read > s.lim.Total {
				return rows, nil // Refused tells
			}
			sum := sha256.New()
			err := f.copyTo(ctx, sum)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err == nil {
				row.SHA256 = hex.EncodeToString(sum.Sum(nil))
			} else {
				row.Refused = damage(err)
				s.refuse(f.Path, err)
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// damage says shortly why a member cannot be read.
func damage(err error) string {
	if _, ok := errors.AsType[*ChecksumError](err); ok {
		return "checksum or length mismatch"
	}
	return fmt.Sprintf("damaged: %v", errors.Unwrap(err))
}

// modeText is ls(1)'s form: Go's own has other letters for links.
func modeText(m fs.FileMode) string {
	kind := byte('-')
	switch {
	case m.IsDir():
		kind = 'd'
	case m&fs.ModeSymlink != 0:
		kind = 'l'
	case !m.IsRegular():
		kind = '?'
	}
	return string(kind) + m.Perm().String()[1:]
}
