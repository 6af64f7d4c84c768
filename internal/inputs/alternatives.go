package inputs

import (
	"context"
	"errors"
	"slices"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

// choose returns the file name of an entry's first available alternative: in the lock, else on the mirrors. It is
// empty for an optional entry that nobody has.
func (g *Gathering) choose(ctx context.Context, entry string) (string, error) {
	if file, done := g.chosen[entry]; done {
		return file, nil
	}
	names, optional := config.Alternatives(entry)
	files := make([]string, len(names))
	for i, name := range names {
		var err error
		if files[i], err = tcz.FileName(name, g.Kernel); err != nil {
			return "", err
		}
	}
	file := files[0]
	if len(files) > 1 || optional {
		var err error
		if file, err = g.firstOf(ctx, entry, files, optional); err != nil {
			return "", err
		}
	}
	if file == "" {
		g.src.say(ui.Info, "resolve", entry, "no mirror has it: left out")
		g.out.LeftOut = append(g.out.LeftOut, entry)
	}
	g.chosen[entry] = file
	return file, nil
}

func (g *Gathering) firstOf(ctx context.Context, entry string, files []string, optional bool) (string, error) {
	if file := g.src.lockedOf(entry, files); file != "" {
		return file, nil
	}
	switch held := g.src.pins != nil && !g.src.foreign; {
	case held && optional && !g.src.stale:
		return "", nil // the lock was made without it
	case held && g.src.Strict:
		return files[0], nil // to be refused as not locked
	}
	file, md5, dir, err := g.src.first(ctx, files)
	switch {
	case err == nil:
		g.asked[file] = [2]string{md5, dir}
	case errors.Is(err, fetch.ErrForbidden):
		err = forbidden(err, strings.Join(files, " or "))
	case errors.Is(err, fetch.ErrNotFound) && optional, g.missing(err, files[0]):
		return "", nil
	case errors.Is(err, fetch.ErrNotFound):
		err = &fail.Error{Class: fail.Network, What: "resolve " + entry, Err: err,
			Hint: "in mkbuild.yaml, add a name that a mirror has to this entry of `extensions`, or a last alternative - to do without"}
	}
	return file, err
}

// lockedOf returns the alternative that the lock took for an entry; for a new entry, the first alternative in the
// lock.
func (s *source) lockedOf(entry string, files []string) string {
	if s.pins == nil || s.foreign {
		return ""
	}
	for _, in := range s.pins.Inputs {
		if in.Kind == lock.TCZ && slices.Contains(in.FirstOf, entry) && slices.Contains(files, in.Name) {
			return in.Name
		}
	}
	for _, file := range files {
		if in := s.pins.Find(lock.TCZ, file); in != nil && slices.Contains(in.Why, lock.WhyConfig) {
			return file
		}
	}
	return ""
}
