package remaster_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/fetch"
	"mkbuild/internal/inputs"
	"mkbuild/internal/medium"
	"mkbuild/internal/remaster"
	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

// quiet drops what a build says.
type quiet struct{}

func (quiet) Event(ui.Event) {}

// An image is planned, staged and written. Its boot files are read back like those of any other medium.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := tinymirror.Make(dir); err != nil {
		log.Fatal(err)
	}
	if err := build(filepath.Join(dir, "mkbuild.yaml"), filepath.Join(dir, "image.iso"), filepath.Join(dir, "cache")); err != nil {
		log.Fatal(err)
	}
	m, err := medium.OpenISO(filepath.Join(dir, "image.iso"))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	fmt.Println(m.Kernel, m.Initrds, m.Arguments)
	// Output: boot/vmlinuz [boot/core.gz] quiet loglevel=3
}

func build(name, iso, cache string) error {
	c, err := config.Parse(name, []byte(tinymirror.Config))
	if err != nil {
		return err
	}
	c.Client.Disabled, c.Boot.Append = true, "loglevel=3"
	plan, err := inputs.NewPlan(c)
	if err != nil {
		return err
	}
	b := &remaster.Builder{Inputs: inputs.Options{Fetch: &fetch.Client{Store: &store.Store{Dir: cache}}, Sink: quiet{}}}
	staged, err := b.Stage(context.Background(), plan)
	if err != nil {
		return err
	}
	return b.WriteISO(context.Background(), staged, iso)
}
