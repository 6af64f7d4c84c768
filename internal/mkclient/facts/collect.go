// Package facts collects the facts of a machine: with Facter and the active extension, from hardware tools, and
// by itself if Facter is missing or broken. It uses no network and decides nothing about extensions: a
// [Collection] says which extension the facts include, and which ones broke Facter. Start reading at
// [Collector.Collect].
package facts

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/program"
)

// Collector collects facts. Use it from one goroutine. It remembers the results about Facter and the hardware.
type Collector struct {
	opt      Options
	facter   facter
	hardware hardware
	broken   bool               // the last time Facter failed even without an extension
	left     program.Stragglers // of Facter's children
}

// New returns an empty collector.
func New(o Options) *Collector { return &Collector{opt: o} }

// Extension is an unpacked extension for a collection.
type Extension struct {
	Dir string
	Own []string // names of the facts that only it adds; nil if unknown
}

// Collection is the result of collecting once.
type Collection struct {
	Facts Facts
	// Sources names the source of each fact: "facter 4.3.0", "extension", "lshw", ……
	Sources map[string]string
	NICs    []NIC

	Used   Extension   // the extension in use; the zero value without one
	Failed []Extension // Facter failed with these, and worked with Used
	Why    error       // the first failure
	Broken bool        // Facter fails with every extension, and without one
}

// Add adds a source's facts, which override earlier ones.
func (col *Collection) Add(source string, facts Facts) {
	for name, v := range facts {
		col.Facts[name], col.Sources[name] = v, source
	}
}

// Body is the body of a check-in.
func (col *Collection) Body() map[string]any {
	return map[string]any{"hw_id": hardwareID(col.NICs), "facts": col.Facts}
}

// Collect cannot fail: a failed source loses only its own facts. It uses the first of the extensions, the best
// first, with which Facter works.
func (c *Collector) Collect(ctx context.Context, extensions []Extension) Collection {
	col := Collection{Facts: Facts{}, Sources: map[string]string{}}
	facts := c.withExtensions(ctx, extensions, &col)
	found := c.hardware.read(ctx, &c.opt)
	col.NICs = c.opt.Root.NICs() // after Facter and the tools: a card may have come up meanwhile
	if col.Broken {
		c.opt.Log.Changed("facter", clientlog.Error, "facter: %v; sending mk-client's own facts", col.Why)
		col.Add("mk-client", c.opt.Root.native(col.NICs))
		col.Add("facts.d", facts)
	} else {
		c.opt.Log.Changed("facter", clientlog.Info, "")
		col.Add("facter "+c.facter.text, facts)
	}
	for _, src := range found {
		col.Add(src.name, src.facts)
	}
	for _, name := range cleanIdentity(col.Facts, col.NICs) {
		delete(col.Sources, name)
	}
	if _, ok := col.Facts["macaddress"]; ok && col.Sources["macaddress"] == "" {
		col.Sources["macaddress"] = "mk-client"
	}
	for _, name := range col.Used.Own {
		if strings.HasPrefix(col.Sources[name], "facter ") {
			col.Sources[name] = "extension"
		}
	}
	return col
}

// withExtensions runs Facter with the best extension, then the next one, then without any: one bad fact file can
// kill Facter. If nothing works, it returns only the external facts, and the best extension stays in use, since
// it is not to blame. First it kills processes that earlier facts left running: one for each cycle would fill the
// memory.
func (c *Collector) withExtensions(ctx context.Context, extensions []Extension, col *Collection) Facts {
	c.left.Kill()
	tries := append(slices.Clone(extensions), Extension{}) // the last try is without one
	col.Used = tries[0]
	if c.broken {
		if _, col.Why = c.runFacter(ctx, ""); col.Why != nil {
			tries = nil
		}
	}
	for i, x := range tries {
		facts, err := c.runFacter(ctx, x.Dir)
		if err == nil {
			c.broken = false
			col.Used, col.Failed = c.withOwn(ctx, x, facts), tries[:i]
			return facts
		}
		if col.Why == nil {
			col.Why = err
		}
		if errors.Is(err, errNoFacter) || ctx.Err() != nil {
			break
		}
	}
	c.broken, col.Broken = c.facter.path != "", true
	facts := Facts{}
	c.addExternal(ctx, facts, col.Used.Dir, "")
	return facts
}

// withOwn determines once which facts only an extension adds.
func (c *Collector) withOwn(ctx context.Context, x Extension, with Facts) Extension {
	if x.Dir == "" || x.Own != nil {
		return x
	}
	x.Own = []string{}
	if without, err := c.runFacter(ctx, ""); err == nil {
		for _, name := range slices.Sorted(maps.Keys(with)) {
			if _, ok := without[name]; !ok {
				x.Own = append(x.Own, name)
			}
		}
	}
	return x
}

// Try runs Facter with and without the unpacked extension in dir, exactly as a check-in does, to try an extension
// on another machine.
func (c *Collector) Try(ctx context.Context, dir string) (with, without Facts, err error) {
	if without, err = c.runFacter(ctx, ""); err != nil {
		return nil, nil, err
	}
	with, err = c.runFacter(ctx, dir)
	return with, without, err
}
