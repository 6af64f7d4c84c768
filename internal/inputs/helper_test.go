package inputs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/events"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/store"
)

// isoPath and tczDir are paths in the miniature mirror.
const (
	isoPath = "4.x/x86/archive/4.5.2/Core-4.5.2.iso"
	tczDir  = "4.x/x86/tcz"
)

// pristine is a mirror that no test changes, warm a cache that no test inspects: each separate file costs a sync to
// disk.
var pristine, warm string // made by TestMain

func TestMain(m *testing.M) { os.Exit(tinymirror.Main(m, &pristine, &warm)) }

// edit changes a configuration.
type edit = func(*config.Config)

// plan is the plan of the mirror's own mkbuild.yaml, changed by edits.
func plan(t testing.TB, dir string, edits ...edit) *Plan {
	t.Helper()
	return planOf(t, filepath.Join(dir, "mkbuild.yaml"), tinymirror.Config, edits...)
}

// planAt is the plan for a mirror at a URL.
func planAt(t testing.TB, base string, edits ...edit) *Plan {
	t.Helper()
	return planOf(t, "mkbuild.yaml", tinymirror.ConfigAt(base), edits...)
}

func planOf(t testing.TB, name, text string, edits ...edit) *Plan {
	t.Helper()
	c, err := config.Parse(name, []byte(text))
	testkit.Must(t, err)
	for _, e := range edits {
		e(&c)
	}
	p, err := NewPlan(c)
	testkit.Must(t, err)
	return p
}

// few reduces the extensions to those with tested faults.
func few(c *config.Config) { c.Extensions = []string{"ruby", "bash"} }

// bare keeps only extensions.
func bare(extensions ...string) edit {
	return func(c *config.Config) {
		c.Extensions, c.Picks, c.RubyGems, c.MCollective, c.Gems.Install = extensions, nil, nil, nil, nil
	}
}

func profileOf(name string) edit { return func(c *config.Config) { c.Profile = name } }

func missing(names ...string) edit { return func(c *config.Config) { c.Missing = names } }

// options are the options of a cache that gives up quickly.
func options(cache string) (Options, *events.Recorder) {
	rec := &events.Recorder{}
	client := &fetch.Client{Store: &store.Store{Dir: cache}, Sink: rec, HTTP: fetch.Options{Backoff: time.Millisecond, Attempts: 2, Idle: 2 * time.Second}}
	return Options{Fetch: client, Sink: rec}, rec
}

// gather gets the inputs of an image.
func gather(t testing.TB, p *Plan, o Options) (*Resolved, error) {
	t.Helper()
	g, err := Begin(t.Context(), p, o)
	if err != nil {
		return nil, err
	}
	return g.Finish(t.Context())
}

// gathered gets the inputs of an image, which must succeed.
func gathered(t testing.TB, p *Plan, o Options) *Resolved {
	t.Helper()
	r, err := gather(t, p, o)
	testkit.Must(t, err)
	return r
}

// gatherFails gets the inputs of an image, which must fail.
func gatherFails(t testing.TB, p *Plan) error {
	t.Helper()
	o, _ := options(t.TempDir())
	_, err := gather(t, p, o)
	if err == nil {
		t.Fatal("no error")
	}
	return err
}

// locked locks a plan.
func locked(t testing.TB, p *Plan, o Options) *Resolved {
	t.Helper()
	r, err := Lock(t.Context(), p, o)
	testkit.Must(t, err)
	return r
}

// lockOf returns the lock of a plan, made with a separate cache.
func lockOf(t testing.TB, p *Plan) *lock.Lock {
	t.Helper()
	o, _ := options(t.TempDir())
	return locked(t, p, o).Lock
}

// deciding returns the part of the inputs that determines an image.
func deciding(r *Resolved) string {
	text := fmt.Sprintln(r.Lock.Kernel, r.Lock.SourceDate, r.Extensions)
	for _, in := range r.Lock.Inputs {
		text += fmt.Sprintln(in.Kind, in.Name, in.SHA256, in.MD5, in.Licence)
	}
	return text
}

// described renders the data of each input, except hashes.
func described(inputs []lock.Input) []string {
	var out []string
	for _, in := range inputs {
		out = append(out, fmt.Sprintf("%s %s: %s; needs %s; %s", in.Kind, in.Name, strings.Join(in.Why, ", "), strings.Join(in.Needs, " "), in.Licence))
	}
	return out
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// hintOf returns an error's hint.
func hintOf(t testing.TB, err error) string {
	t.Helper()
	h := fail.HintOf(err)
	if h == "" {
		t.Fatalf("no hint: %v", err)
	}
	return h
}

// remove removes files from a mirror.
func remove(t testing.TB, dir string, names ...string) {
	t.Helper()
	for _, n := range names {
		testkit.Must(t, os.Remove(filepath.Join(dir, n)))
	}
}

// update gives a file of a mirror other bytes with a matching digest.
func update(t testing.TB, dir, name string) {
	t.Helper()
	tinymirror.Publish(t, dir, name, append(testkit.Read(t, filepath.Join(dir, name)), make([]byte, 4096)...))
}
