package remaster

import (
	"os"
)

// spare is a temporary file that nothing is left of, however the program ends.
type spare struct {
	*os.File
	named bool
}

// newSpare opens an empty one. Where an open file cannot lose its name (Windows), it goes away
// with Close.
func newSpare() (*spare, error) {
	f, err := os.CreateTemp("", "mkbuild-*")
	if err != nil {
		return nil, err
	}
	return &spare{f, os.Remove(f.Name()) != nil}, nil
}

// Close gives the space back.
func (s *spare) Close() error {
	err := s.File.Close()
	if s.named {
		os.Remove(s.Name()) //nolint:errcheck,gosec // best effort: nothing else can be done
	}
	return err
}
