package manifest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// ErrInvalid is returned for a text that is not a manifest.
var ErrInvalid = fail.New(fail.Verification, "not an mkbuild manifest", "")

// Limits of a manifest. A large image has one of 10 MB.
const (
	MaxSize  = 128 << 20
	maxFiles = 500_000
	maxLists = 100_000 // inputs, boot files, segments
)

// Parse reads an untrusted manifest. It refuses anything that [Manifest.Render] would not write: other schemas,
// unknown members, unclean or repeated paths, malformed digests and numbers.
func Parse(b []byte) (*Manifest, error) {
	m, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return m, nil
}

func parse(b []byte) (*Manifest, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%d bytes, the limit is %d", len(b), MaxSize)
	}
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil && (m.Schema == "" || m.Schema == Schema) {
		return nil, err // another version has other members: check names the version
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows it")
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	var config bytes.Buffer // its digest is that of the form without blanks
	if err := json.Compact(&config, m.Config); err != nil {
		return nil, err
	}
	m.Config = config.Bytes()
	return &m, nil
}

func (m *Manifest) check() error {
	switch {
	case m.Schema != Schema:
		return fmt.Errorf("its schema is %.64q, this mkbuild reads %q", m.Schema, Schema)
	case len(m.Files) > maxFiles, len(m.Inputs) > maxLists, len(m.Boot) > maxLists, len(m.Segments) > maxLists:
		return errors.New("too long a list")
	case len(m.Config) == 0 || m.Config[0] != '{':
		return errors.New("no configuration")
	case m.SourceDate < 0:
		return fmt.Errorf("source date %d", m.SourceDate)
	}
	if err := checkSum("plan", m.Plan); err != nil {
		return err
	}
	for _, part := range []func() error{m.checkInputs, m.checkBoot, m.checkSegments, m.checkFiles} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

func checkSum(of, sum string) error {
	b, err := hex.DecodeString(sum)
	if err != nil || len(b) != 32 || strings.ToLower(sum) != sum {
		return fmt.Errorf("%.200q: %.80q is not a sha256", of, sum)
	}
	return nil
}

func (m *Manifest) checkInputs() error {
	for _, in := range m.Inputs {
		if in.Name == "" || strings.ContainsAny(in.Name, "/\\\x00") || in.Size < 0 {
			return fmt.Errorf("input %.200q", in.Name)
		}
		if err := checkSum(in.Name, in.SHA256); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manifest) checkBoot() error {
	seen := map[string]bool{}
	for _, f := range m.Boot {
		if !isNew(f.Path, seen) || f.Size < 0 {
			return fmt.Errorf("boot file %.200q", f.Path)
		}
		if err := checkSum(f.Path, f.SHA256); err != nil {
			return err
		}
	}
	return nil
}

// isNew reports whether a path is clean and new.
func isNew(name string, seen map[string]bool) bool {
	clean, err := overlay.CleanPath(name)
	isNew := err == nil && clean == name && !seen[name]
	seen[name] = true
	return isNew
}

func (m *Manifest) checkSegments() error {
	var end int64
	for _, s := range m.Segments {
		if s.Offset < end || s.Size < 0 || s.Offset+s.Size < s.Offset {
			return fmt.Errorf("segment %.200q lies at %d with %d bytes", s.Name, s.Offset, s.Size)
		}
		end = s.Offset + s.Size
		if err := checkSum(s.Name, s.SHA256); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manifest) checkFiles() error {
	seen := make(map[string]bool, len(m.Files))
	for i := range m.Files {
		f := &m.Files[i]
		if !isNew(string(f.Path), seen) {
			return fmt.Errorf("file %.200q", f.Path)
		}
		if _, err := f.StMode(); err != nil || f.Size < 0 {
			return fmt.Errorf("file %.200q: mode %.20q, size %d", f.Path, f.Mode, f.Size)
		}
		if f.SHA256 == "" {
			continue
		}
		if err := checkSum(string(f.Path), f.SHA256); err != nil {
			return err
		}
	}
	return nil
}

// StMode returns the file's mode as a number.
func (f *File) StMode() (uint32, error) {
	n, err := strconv.ParseUint(f.Mode, 8, 16)
	return uint32(n), err
}
