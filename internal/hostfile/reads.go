package hostfile

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Reads are the files and folders that a command reads. A folder includes everything below it. The zero value is
// empty.
type Reads struct{ all []input }

type input struct {
	what, path string
	linksOut   bool // files in the folder may be links out of it
}

// Add adds a file or folder, which may be missing. what names it in messages: "the configuration".
func (r *Reads) Add(what, path string) {
	if path != "" {
		r.all = append(r.all, input{what, path, true})
	}
}

// AddStore adds a folder of a store: its files have no other names outside.
func (r *Reads) AddStore(what, path string) {
	r.all = append(r.all, input{what, path, false})
}

// Allow refuses places that cannot be written, that a result may not replace, or that the command reads, by any
// path or link. A command calls it first.
func (r *Reads) Allow(ctx context.Context, places ...Place) error {
	inputs := make([]source, len(r.all))
	for i, in := range r.all {
		inputs[i] = in.find()
	}
	taken := map[string]bool{}
	for i := range places {
		l, err := places[i].locate()
		if err != nil {
			return err
		}
		if taken[l.path] {
			return l.refuse("two results would go there")
		}
		taken[l.path] = true
		for i := range inputs {
			if err := inputs[i].allow(ctx, l); err != nil {
				return err
			}
		}
		if err := l.probe(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// source is an input on this machine.
type source struct {
	input
	at   string      // without links
	info fs.FileInfo // nil if nothing is there
}

func (in input) find() source {
	at := resolved(in.path)
	info, err := os.Stat(at)
	if err != nil {
		info = nil
	}
	return source{in, at, info}
}

// allow refuses a place that would harm the input.
func (in *source) allow(ctx context.Context, l *located) error {
	isFolder := in.info != nil && in.info.IsDir()
	switch {
	case in.at == l.path, in.info != nil && l.info != nil && os.SameFile(in.info, l.info):
		return l.refuse("it is " + in.what + ", which this command reads")
	case isFolder && within(l.path, in.info), in.info == nil && strings.HasPrefix(l.path, in.at+string(filepath.Separator)):
		return l.refuse(fmt.Sprintf("it lies in %s (%s), which this command reads", in.what, in.path))
	case l.info != nil && l.info.IsDir() && within(in.at, l.info):
		return l.refuse(fmt.Sprintf("it holds %s (%s), which this command reads", in.what, in.path))
	case isFolder && in.linksOut && l.info != nil && l.info.Mode().IsRegular() && aliased(ctx, in.at, l.info):
		return l.refuse(fmt.Sprintf("it is a file of %s (%s) by another name, which this command reads", in.what, in.path))
	}
	return nil
}

// aliased reports whether a folder has a file under another name: by a link in it, or by a hard link.
func aliased(ctx context.Context, dir string, info fs.FileInfo) bool {
	found := false
	hard := links(info) > 1
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error { // unreadable files are reported where they are used
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil || d.IsDir():
			return nil
		case d.Type()&fs.ModeSymlink != 0 || hard && d.Type().IsRegular():
			if st, err := os.Stat(p); err == nil && os.SameFile(st, info) {
				found = true
				return fs.SkipAll
			}
		}
		return nil
	})
	return found
}
