package razor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"mkbuild/internal/razor/rules"
)

// ruleFile holds the rules of one file and follows its changes. A file that is not valid leaves the
// last good rules in force; the error is shown until the file is fixed.
type ruleFile struct {
	name  string // "" means no rules at all
	mu    sync.Mutex
	rules *rules.Rules
	err   error
	stamp fileStamp
}

// openRules loads the file for the first time; then an error is final.
func openRules(name string) (*ruleFile, error) {
	f := &ruleFile{name: name, rules: &rules.Rules{}}
	f.refresh()
	return f, f.err
}

// current returns the rules in force and what is wrong with a newer version of the file.
func (f *ruleFile) current() (*rules.Rules, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rules, f.err
}

// refresh loads the file if it has changed, and reports whether anything is different.
func (f *ruleFile) refresh() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := stampOf(f.name)
	if f.name == "" || now == f.stamp {
		return false
	}
	first := f.stamp == fileStamp{}
	f.stamp = now
	r, err := loadRules(f.name)
	switch {
	case err == nil:
		f.rules, f.err = r, nil
	case first:
		f.err = err
	default:
		f.err = fmt.Errorf("rules not reloaded, the last good ones stay in force: %w", err)
	}
	return true
}

func loadRules(name string) (*rules.Rules, error) {
	b, err := readLimited(name)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	return rules.Parse(b, name)
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
