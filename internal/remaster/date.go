package remaster

import (
	"context"
	"fmt"

	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
)

// date is the time that a build of the user's own plan would give to what it makes: that of its
// newest input, unless the lock stays what it is.
func (r *resolver) date(ctx context.Context, out *Resolved) (int64, error) {
	if r.src.gone != nil {
		return 0, nil // nobody asks
	}
	if r.Epoch != nil {
		return *r.Epoch, nil
	}
	if old := r.src.pins.lock; old != nil && len(out.Lock.Compare(old)) == 0 {
		return old.SourceDate, nil
	}
	s := &stage{Builder: &Builder{}, Staged: &Staged{Plan: r.own}}
	own := out.Lock.Closure(r.roots())
	for _, in := range out.Lock.Inputs {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if in.Kind == lock.TCZ && !own[in.Name] {
			continue
		}
		if err := s.date(out.Blob(in), in); err != nil {
			return 0, err
		}
	}
	return s.Staged.Epoch, nil
}

// roots are the file names of what the user's own plan takes.
func (r *resolver) roots() []string {
	names := r.own.Extensions
	for _, p := range r.own.Config.Picks {
		names = append(names[:len(names):len(names)], p.Extension)
	}
	return edges(names, r.src.kernel)
}

// date raises the image's time to that of an input, as placing it would do.
func (s *stage) date(blob *fetch.Blob, in lock.Input) error {
	switch in.Kind {
	case lock.ISO:
		m, _, err := openSource(blob.Reader(), blob.Size, in.Name)
		if err != nil {
			return err
		}
		s.newer(m.ISO.Created)
		s.newer(m.ISO.Modified)
	case lock.TCZ:
		_, err := s.readTCZ(blob, in.Name)
		return err
	case lock.Gem:
		return s.dateGem(blob, in.Name)
	default:
		t, err := readArchive(blob, in.Name)
		if err != nil {
			return fmt.Errorf("read %s: %w", in.Name, err)
		}
		s.newest(t)
	}
	return nil
}

func (s *stage) dateGem(blob *fetch.Blob, file string) error {
	for _, want := range s.Plan.Config.Gems.Install {
		if gemFile(want) != file {
			continue
		}
		g, err := readGem(blob, want)
		if err != nil {
			return err
		}
		s.newer(g.MTime)
	}
	return nil
}
