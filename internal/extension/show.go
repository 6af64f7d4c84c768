package extension

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// List describes every member and reads those that the client takes, within the limits that s
// was read with: those beyond the limit on the total size are left out. What a damaged member lacks is
// told in its row and in s.Refused.
func List(ctx context.Context, s *Source) ([]Row, error) {
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

// modeText is ls(1)'s form: Go's own has other letters for links.
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
