package razor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// ruleSource holds the rules of one file and follows its changes. A file that does not check
// leaves the last good rules in force; the error is shown until the file is mended.
type ruleSource struct {
	file  string // "" means no rules at all
	mu    sync.Mutex
	rules *Rules
	err   error
	stamp fileStamp
}

// fileStamp tells one version of a file from the next.
type fileStamp struct {
	mtime time.Time
	size  int64
	gone  bool
}

func stampOf(file string) fileStamp {
	st, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fileStamp{gone: true}
	}
	if err != nil {
		return fileStamp{}
	}
	return fileStamp{mtime: st.ModTime(), size: st.Size()}
}

// newRuleSource loads the file for the first time; then an error is final.
func newRuleSource(file string) (*ruleSource, error) {
	s := &ruleSource{file: file, rules: &Rules{}}
	if file == "" {
		return s, nil
	}
	s.stamp = stampOf(file)
	r, err := LoadRules(file)
	if err != nil {
		return nil, err
	}
	s.rules = r
	return s, nil
}

// current returns the rules in force and what is wrong with a newer version of the file.
func (s *ruleSource) current() (*Rules, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rules, s.err
}

// refresh loads the file again if it has changed, and reports whether anything is different.
func (s *ruleSource) refresh() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == "" {
		return false
	}
	now := stampOf(s.file)
	if now == s.stamp {
		return false
	}
	s.stamp = now
	r, err := LoadRules(s.file)
	if err != nil {
		s.err = fmt.Errorf("rules not reloaded, the last good ones stay in force: %w", err)
		return true
	}
	s.rules, s.err = r, nil
	return true
}
