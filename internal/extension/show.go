package extension

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"mkbuild/internal/ui"
)

// Row describes one member as text.
type Row struct {
	Path    string `json:"path"`
	Mode    string `json:"mode"` // as the client makes it: "-rwxr-xr-x"
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256,omitempty"` // of regular files that the client accepts
	Link    string `json:"link,omitempty"`
	Refused string `json:"refused,omitempty"` // why the client refuses it
}

// ListingSchema is the version of a [Listing]'s JSON.
const ListingSchema = "mkbuild.extension-show/v1"

// Listing lists the content of an extension.
type Listing struct {
	Schema    string   `json:"schema"`
	Extension string   `json:"extension"`
	Size      int64    `json:"size"` // of the archive; 0 for a folder
	Unpacked  int64    `json:"unpacked"`
	Members   []Row    `json:"members"`
	Refused   []string `json:"refused"` // why the client refuses all of it; empty if it does not
}

// List describes every member and reads those that the client accepts, within the limits of s: members beyond the
// total size are left out. A damaged member's row and s.Refused say what is wrong.
func List(ctx context.Context, s *Source) (*Listing, error) {
	rows, err := list(ctx, s)
	if err != nil {
		return nil, err
	}
	l := &Listing{Schema: ListingSchema, Size: s.Size, Members: rows, Refused: []string{}}
	for _, r := range rows {
		l.Unpacked += r.Size
	}
	for _, r := range s.Refused {
		l.Refused = append(l.Refused, r.Error())
	}
	return l, nil
}

func list(ctx context.Context, s *Source) ([]Row, error) {
	rows := make([]Row, 0, len(s.Files))
	var read int64
	for i := range s.Files {
		f := &s.Files[i]
		row := Row{Path: f.Path, Mode: modeText(f), Size: f.Size, Link: f.Link, Refused: f.Refused}
		if f.IsRegular() {
			if read += f.Size; read > s.Limits.Total {
				return rows, nil // Refused tells
			}
			sum := sha256.New()
			err := f.CopyTo(ctx, sum)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			row.SHA256 = hex.EncodeToString(sum.Sum(nil))
			if err != nil {
				row.SHA256, row.Refused = "", s.Unreadable(f, err)
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// modeText has ls(1)'s form: Go uses other letters for links.
func modeText(f *File) string {
	kind := byte('-')
	switch {
	case f.IsDir():
		kind = 'd'
	case f.IsLink():
		kind = 'l'
	case !f.Mode.IsRegular():
		kind = '?'
	}
	return string(kind) + f.Mode.Perm().String()[1:]
}

// Text returns the listing for people.
func (l *Listing) Text() string {
	var b strings.Builder
	for _, r := range l.Members {
		sum := r.SHA256
		if sum == "" {
			sum = "-"
		}
		fmt.Fprintf(&b, "%s %10d %-64s %s", r.Mode, r.Size, sum, ui.Clean(r.Path))
		if r.Link != "" {
			fmt.Fprintf(&b, " -> %s", ui.Clean(r.Link))
		}
		if r.Refused != "" {
			fmt.Fprintf(&b, "  [refused: %s]", ui.Clean(r.Refused))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "\n%s, %d bytes unpacked", ui.Plural(len(l.Members), "member"), l.Unpacked)
	if l.Size > 0 {
		fmt.Fprintf(&b, ", %d bytes packed", l.Size)
	}
	b.WriteByte('\n')
	for _, top := range l.tops() {
		role := Role(top)
		if role == "" {
			role = "unpacked, not used by itself"
		}
		fmt.Fprintf(&b, "  %-8s  %s\n", ui.Clean(top), role)
	}
	for _, why := range l.Refused {
		fmt.Fprintf(&b, "refused by the client: %s\n", ui.Clean(why))
	}
	return b.String()
}

// tops lists the top-level names in the members' order, which is sorted.
func (l *Listing) tops() []string {
	var tops []string
	seen := map[string]bool{}
	for _, r := range l.Members {
		if top, _, _ := strings.Cut(r.Path, "/"); r.Refused == "" && !seen[top] {
			seen[top] = true
			tops = append(tops, top)
		}
	}
	return tops
}
