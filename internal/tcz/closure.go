package tcz

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mkbuild/internal/fail"
)

// ErrTooMany is returned if extensions need more than any real system has.
var ErrTooMany = fail.New(fail.Verification, "too many extensions", "")

// Limits of one closure. Real mirrors have a few thousand extensions; real dependency chains have some twenty
// links.
const (
	maxItems = 10000
	maxChain = 256
)

// Item is one extension of a closure.
type Item struct {
	// File is its file name with "-KERNEL" resolved: "ncurses.tcz".
	File string
	// Chain gives the reason: the extension that the user listed, then each dependency up to the extension whose
	// .dep names File. It is empty for an extension that the user listed.
	Chain []string
}

// Asked renders the whole chain: "bash.tcz -> ncurses.tcz -> ncurses-common.tcz".
func (i Item) Asked() string {
	return strings.Join(append(slices.Clone(i.Chain), i.File), " -> ")
}

// Closure returns roots and all their dependencies, once each, in the load order of stock Tiny Core 4.x: each root
// in turn with its own closure, dependencies first, and of several dependencies of one extension the last listed
// first. (tce-load pushes names on a stack and loads from the top.)
//
// deps returns the names in the .dep of file, or none if file has no .dep. It is called once for each file. A cycle
// is not an error. A missing extension is a normal item: fetching it fails, and its Chain gives the reason for it.
// kernel is uname -w.
func Closure(ctx context.Context, roots []string, kernel string, deps func(ctx context.Context, file string) ([]string, error)) ([]Item, error) {
	w := walk{kernel: kernel, deps: deps, seen: map[string]bool{}}
	for _, root := range roots {
		if err := w.visit(ctx, root, nil); err != nil {
			return nil, err
		}
	}
	return w.items, nil
}

// walk is a closure in progress.
type walk struct {
	kernel string
	deps   func(ctx context.Context, file string) ([]string, error)
	seen   map[string]bool // loaded or in progress
	items  []Item
}

// visit appends the dependencies of name in order, and then name. The last dependency first, without duplicates,
// gives the same order as reversing tce-load's stack.
func (w *walk) visit(ctx context.Context, name string, chain []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	file, err := FileName(name, w.kernel)
	if err != nil {
		return askedBy(err, chain)
	}
	if w.seen[file] {
		return nil
	}
	if len(w.seen) >= maxItems || len(chain) >= maxChain {
		return fmt.Errorf("resolve %s: %w: over %d, or over %d in a chain", file, ErrTooMany, maxItems, maxChain)
	}
	w.seen[file] = true
	item := Item{File: file, Chain: chain}
	names, err := w.deps(ctx, file)
	if err != nil {
		return fmt.Errorf("resolve %s: %w", item.Asked(), err)
	}
	asking := append(slices.Clone(chain), file)
	for _, dep := range slices.Backward(names) {
		if err := w.visit(ctx, dep, asking); err != nil {
			return err
		}
	}
	w.items = append(w.items, item)
	return nil
}

// askedBy names the .dep of an invalid name.
func askedBy(err error, chain []string) error {
	if len(chain) == 0 {
		return fmt.Errorf("resolve extensions: %w", err)
	}
	return fmt.Errorf("resolve %s: its .dep: %w", strings.Join(chain, " -> "), err)
}
