package remaster

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/rubygems"
	"mkbuild/internal/tcz"
)

// Inputs returns the files that went into the image, sorted by kind and name.
func (s *Staged) Inputs() []lock.Input { return slices.Clone(s.inputs) }

// note takes a fetched file in as an input. What the cache found by its hash alone is said to come
// from the first of the places that it was wanted from. In a lock that is written anew the place of
// what was locked stays: this time it may be one that only this machine has.
func (s *sources) note(in lock.Input, b *fetch.Blob, urls []string) {
	in.URL, in.Size, in.SHA256 = cmp.Or(b.URL, fetch.Shown(urls[0])), b.Size, b.SHA256
	if path, ok := fetch.LocalPath(in.URL); ok {
		in.URL = path
	}
	if old := s.pins.lock.Find(in.Kind, in.Name); s.resolving && !s.pins.foreign && old != nil && old.SHA256 == b.SHA256 {
		in.URL = cmp.Or(old.URL, in.URL)
	}
	s.noting.Lock() // gems are fetched beside extensions
	defer s.noting.Unlock()
	s.inputs.Add(in)
	s.blobs[[2]string{in.Kind, in.Name}] = b
}

// reasons finds out who asked for each extension of a closure.
func (s *sources) reasons(found map[string]*extension, roots []string, kernel string) {
	for _, root := range roots {
		why := lock.WhyDev
		if slices.ContainsFunc(s.plan.Config.Extensions, func(e string) bool { return tcz.Base(e) == tcz.Base(root) }) {
			why = lock.WhyConfig
		}
		because(found, root, kernel, why)
	}
	for file, x := range found {
		for _, name := range x.needs {
			because(found, name, kernel, file)
		}
	}
}

// because notes a reason for the extension of a name.
func because(found map[string]*extension, name, kernel, why string) {
	file, err := tcz.FileName(name, kernel)
	if x := found[file]; err == nil && x != nil {
		x.why = append(x.why, why)
	}
}

// edges turns the names of a .dep into file names, each once: where it stands last, since the last
// is loaded first.
func edges(names []string, kernel string) []string {
	var out []string
	for _, n := range names {
		if file, err := tcz.FileName(n, kernel); err == nil {
			out = append(slices.DeleteFunc(out, func(f string) bool { return f == file }), file)
		}
	}
	return out
}

// record notes fetched extensions as inputs.
func (s *sources) record(es []*extension) error {
	for _, e := range es {
		if e.blob == nil {
			s.gone[e.File] = true
			continue
		}
		urls, err := s.urls(e)
		if err != nil {
			return err
		}
		s.note(lock.Input{Kind: lock.TCZ, Name: e.File, MD5: e.md5, Why: e.why, Needs: edges(e.needs, s.kernel), Licence: e.licence}, e.blob, urls)
	}
	return nil
}

// copying reads the licence out of the .info beside an extension. Whether there is one must not
// depend on the network's mood, since it is part of an image's manifest: a mirror that does not
// answer is an error here as everywhere, one that has no such file is not.
func (s *sources) copying(ctx context.Context, e *extension) (string, error) {
	text, err := s.beside(ctx, e, e.File, ".info")
	if errors.Is(err, fetch.ErrContent) || errors.Is(err, fetch.ErrNotFound) || errors.Is(err, fetch.ErrForbidden) || errors.Is(err, fetch.ErrTooLarge) {
		return "", nil
	}
	return tcz.CopyingPolicy(text), err
}

// licence is what a gem says of its licence.
func licence(g *rubygems.Gem) string { return tcz.OneLine(strings.Join(g.Metadata.Licenses, ", ")) }
