package razor

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"mkbuild/internal/hostfile"
	"mkbuild/internal/razor/rules"
)

// ruleFile holds the rules of one file and follows its changes. An invalid file leaves the last good rules
// active; the error is shown until the file is fixed.
type ruleFile struct {
	name  string // "" means no rules at all
	mu    sync.Mutex
	rules *rules.Rules
	err   error
	stamp fileStamp
	log   *slog.Logger
}

// openRules loads the file for the first time; then an error is final.
func openRules(name string, log *slog.Logger) (*ruleFile, error) {
	f := &ruleFile{name: name, rules: &rules.Rules{}, log: log}
	if name == "" {
		return f, nil
	}
	r, err := loadRules(name)
	if err != nil {
		return nil, err
	}
	for _, w := range r.Warnings {
		log.Warn("rules", "finding", w)
	}
	f.rules, f.stamp = r, stampOf(name)
	return f, nil
}

// current returns the active rules, and the error of a newer version of the file. It loads a changed file again.
func (f *ruleFile) current() (*rules.Rules, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := stampOf(f.name)
	if f.name == "" || now == f.stamp {
		return f.rules, f.err
	}
	f.stamp = now
	r, err := loadRules(f.name)
	if err != nil {
		f.err = fmt.Errorf("rules not reloaded, the last good ones still apply: %w", err)
		f.log.Error("reload rules", "error", err)
		return f.rules, f.err
	}
	f.rules, f.err = r, nil
	f.log.Info("rules reloaded", "tags", len(r.Tags), "policies", len(r.Policies))
	return r, nil
}

func loadRules(name string) (*rules.Rules, error) {
	b, err := hostfile.Read(name, hostfile.MaxText)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	return rules.Parse(b, name)
}

// fileStamp identifies a version of a file; it is zero for a missing file.
type fileStamp struct {
	mtime time.Time
	size  int64
}

func stampOf(file string) fileStamp {
	st, err := os.Stat(file)
	if err != nil {
		return fileStamp{}
	}
	return fileStamp{mtime: st.ModTime(), size: st.Size()}
}
