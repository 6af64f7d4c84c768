package remaster

import (
	"context"
	"slices"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
)

// archive fetches a source archive. Upstream publishes no digest for these: sha256 is the
// user's own pin, if there is one.
func (s *sources) archive(ctx context.Context, kind, name string, urls []string, sha256 string) (*fetch.Blob, error) {
	in, err := s.pin(kind, name)
	if err != nil {
		return nil, err
	}
	if in != nil && sha256 != "" && !strings.EqualFold(sha256, in.SHA256) {
		in = nil // the user's own pin is younger than the lock
	}
	if urls, err = s.archiveURLs(name, urls, in != nil); err != nil {
		return nil, err
	}
	b, err := s.get(ctx, in, fetch.Request{Name: name, URLs: urls, SHA256: sha256, Fresh: s.resolving, MaxSize: maxArchive, Check: fetch.RefuseHTML})
	if err == nil {
		s.note(lock.Input{Kind: kind, Name: name, Why: []string{lock.WhyConfig}}, b, urls)
	}
	return b, err
}

// archiveURLs puts the mirrors' folders of archives around the configured places: a mirror on this
// machine comes first, so that one directory can hold everything; one on the network only before
// them where a lock decides what it may give.
func (s *sources) archiveURLs(name string, urls []string, locked bool) ([]string, error) {
	var near, far []string
	for _, dir := range s.plan.ArchiveDirs {
		if _, ok := fetch.LocalPath(dir); ok {
			near = append(near, dir)
		} else {
			far = append(far, dir)
		}
	}
	first, err := inDirs(near, name)
	if err != nil {
		return nil, err
	}
	last, err := inDirs(far, name)
	if err != nil {
		return nil, err
	}
	if locked {
		return unique(slices.Concat(first, last, urls)), nil
	}
	return unique(slices.Concat(first, urls, last)), nil
}

// gem fetches one .gem.
func (s *sources) gem(ctx context.Context, g config.Gem) (*fetch.Blob, error) {
	name := gemFile(g)
	urls := []string(g.URL)
	if len(urls) == 0 {
		var err error
		if urls, err = inDirs(s.plan.Config.Gems.Source, name); err != nil {
			return nil, err
		}
	}
	return s.archive(ctx, lock.Gem, name, urls, g.SHA256)
}

// gemFile is the name of a gem's file.
func gemFile(g config.Gem) string { return g.Name + "-" + g.Version + ".gem" }
