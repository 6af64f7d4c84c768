package mkclient

import (
	"context"
	"errors"
	"strings"
)

// Collection is what one cycle would send.
type Collection struct {
	Facts Facts
	// Sources says for each fact where it came from: "facter 4.3.0", "extension", "lshw", …
	Sources map[string]string

	nics []nic
	ext  status
}

// add lays a source's facts over those collected so far.
func (col *Collection) add(source string, facts Facts) {
	for name, v := range facts {
		col.Facts[name], col.Sources[name] = v, source
	}
}

// Collect gathers the facts with the generation in force, without asking the network. A user
// who may not see the extension gets the facts without it, and a warning in the log.
func (c *Client) Collect(ctx context.Context) (Collection, error) {
	unlock, err := c.lockCycle(ctx)
	if err != nil {
		c.log().Logf(Warn, "no extension can be used: %v", err)
		unlock = func() {}
	}
	defer unlock()
	c.ref.state = loadState(c.opt.ExtensionRoot)
	if c.set.ExtendOff {
		c.ref.state = extState{}
	}
	return c.collect(ctx), ctx.Err()
}

// collect cannot fail: each source that does loses its own facts only.
func (c *Client) collect(ctx context.Context) Collection {
	col := Collection{Facts: Facts{}, Sources: map[string]string{}, nics: readNICs(c.path("sys"))}
	facts, used, err := c.facterFacts(ctx)
	if err == nil {
		col.add("facter "+c.facter.text, facts)
	} else {
		c.log().Changed("facter", Error, "facter: %v; sending what the client finds itself", err)
		col.add("mk-client", c.nativeFacts(col.nics))
		col.add("facts.d", facts)
	}
	for _, src := range c.hardware(ctx) {
		col.add(src.name, src.facts)
	}
	for _, name := range cleanIdentity(col.Facts, col.nics) {
		delete(col.Sources, name)
	}
	if _, ok := col.Facts["macaddress"]; ok && col.Sources["macaddress"] == "" {
		col.Sources["macaddress"] = "mk-client"
	}
	c.addOwn(&col, used)
	return col
}

// addOwn adds the operator's facts and the client's status.
func (c *Client) addOwn(col *Collection, used *generation) {
	for name, v := range c.set.Facts {
		col.add("razor.fact."+name, Facts{name: v})
	}
	col.ext = c.ref.status(used)
	own := col.ext.facts(c.opt.Version)
	own["mk_extension_facts"] = ""
	if used != nil {
		own["mk_extension_facts"] = strings.Join(used.Facts, ",")
		for _, name := range used.Facts {
			if _, ok := col.Facts[name]; ok && strings.HasPrefix(col.Sources[name], "facter ") {
				col.Sources[name] = "extension"
			}
		}
	}
	col.add("mk-client", own)
}

// facterFacts runs Facter with the newest usable generation, then the one before, then without
// any: one bad fact file can kill Facter outright. A generation is blamed only when Facter
// works with less of it. When nothing works it returns the external facts and an error; the
// generation stays in force then, for nothing is known against it. What facts of the collection
// before left running is killed first: one child for each cycle would fill the memory.
func (c *Client) facterFacts(ctx context.Context) (Facts, *generation, error) {
	c.facter.left.kill()
	tries := c.tries()
	if c.facter.broken {
		if _, err := c.runFacter(ctx, ""); err != nil {
			return c.withoutFacter(ctx, tries[0]), tries[0], err
		}
	}
	var first error
	for i, g := range tries {
		facts, err := c.runFacter(ctx, c.ref.path(g))
		if err == nil {
			c.facter.broken = false
			c.settle(ctx, tries[:i], g, facts, first)
			return facts, c.current(g), nil
		}
		if first == nil {
			first = err
		}
		if errors.Is(err, errNoFacter) || ctx.Err() != nil {
			break
		}
	}
	c.facter.broken = c.facter.path != ""
	return c.withoutFacter(ctx, tries[0]), tries[0], first
}

// tries lists what to run Facter with, best first; nil stands for no extension.
func (c *Client) tries() []*generation {
	usable := c.ref.usable()
	var tries []*generation
	for i := range usable {
		tries = append(tries, &usable[i])
	}
	return append(tries, nil)
}

// settle draws the conclusions of a run that worked: those before it are to blame, and what
// only this extension brings is found out once.
func (c *Client) settle(ctx context.Context, failed []*generation, g *generation, facts Facts, why error) {
	c.log().Changed("facter", Info, "")
	for _, f := range failed {
		c.ref.blame(f.Dir, why)
	}
	if g == nil {
		return
	}
	var own []string
	if g.Facts == nil {
		own = []string{}
		if plain, err := c.runFacter(ctx, ""); err == nil {
			own = added(plain, facts)
		}
	}
	c.ref.praise(g.Dir, own)
}

// added lists the names that only with has.
func added(without, with Facts) []string {
	names := []string{}
	for _, name := range sortedKeys(with) {
		if _, ok := without[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// current finds the generation again after its record may have changed.
func (c *Client) current(g *generation) *generation {
	if g == nil {
		return nil
	}
	for i := range c.ref.state.Generations {
		if c.ref.state.Generations[i].Dir == g.Dir {
			return &c.ref.state.Generations[i]
		}
	}
	return g
}

// withoutFacter reads the external facts itself, those of the extension included.
func (c *Client) withoutFacter(ctx context.Context, g *generation) Facts {
	facts := Facts{}
	gen := c.ref.path(g)
	c.addExternal(ctx, facts, gen, c.externalDirs(gen))
	return facts
}

// Try runs Facter with the unpacked extension in dir and without any, in the very way that a
// check-in does, so that an extension can be tried where it is written.
func (c *Client) Try(ctx context.Context, dir string) (with, without Facts, err error) {
	if without, err = c.runFacter(ctx, ""); err != nil {
		return nil, nil, err
	}
	with, err = c.runFacter(ctx, dir)
	return with, without, err
}

// Body is what a check-in would post.
func (col *Collection) Body() map[string]any {
	return map[string]any{"hw_id": hardwareID(col.nics), "facts": col.Facts}
}
