package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"mkbuild/internal/attest"
	"mkbuild/internal/customize"
	"mkbuild/internal/fail"
	"mkbuild/internal/inputs"
	"mkbuild/internal/inspect"
	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
	"mkbuild/internal/signing"
	"mkbuild/internal/ui"
	"mkbuild/internal/wholefile"
)

type verifyOptions struct {
	buildOptions
	json, strict, again bool
	trust               trustOptions
	attest              signOptions
}

// trustOptions are the flags about signatures.
type trustOptions struct {
	keys, require []string
	lock          string
}

func (o *trustOptions) addFlags(c *cobra.Command) {
	c.Flags().StringVar(&o.lock, "lock", "", "with --key: every input of the image must be in this lock `file`")
	c.Flags().StringSliceVar(&o.require, "require", nil, "with --key: `statements` that must be there: reproduced, tested")
	addKeys(c, &o.keys)
}

// wanted is the policy that the flags ask for; nil without a key.
func (o *trustOptions) wanted() (t *inspect.Trust, err error) {
	if len(o.keys) == 0 {
		const next = "name a public key: --key PUB"
		switch {
		case o.lock != "":
			return nil, usage("--lock needs --key", next)
		case len(o.require) > 0:
			return nil, usage("--require needs --key", next)
		}
		return nil, nil //nolint:nilnil // nothing is asked for
	}
	t = &inspect.Trust{Require: o.require}
	for _, r := range o.require {
		if inspect.Requirements()[r] == "" {
			return nil, usage(fmt.Sprintf("--require: unknown statement %q", r), "for example: --require reproduced,tested")
		}
	}
	if t.Keys, err = signing.ReadKeys("--key", o.keys...); err != nil {
		return nil, err
	}
	if o.lock != "" {
		t.Lock, err = lock.Load(o.lock, "")
	}
	return t, err
}

func verifyCommand(w *world) *cobra.Command {
	o := &verifyOptions{}
	c := &cobra.Command{
		Use:   "verify IMAGE",
		Short: "Check an image against its manifest and the rules of a microkernel",
		Long: `Check an ISO, a PXE folder or an initrd: every file against the manifest that
mkbuild left in it, kernel and initrd against iso-metadata.yaml, a PXE folder against its SHA256SUMS, the
boot loader's boot-info-table, and the rules that
` + "`mkbuild explain`" + ` lists: dangling links, fixed host keys, published secrets, missing libraries,
wrong modes, and ways into a prod image. An image of another tool has no manifest; the
rest is checked.

--key checks its signature and provenance, which mkbuild iso --sign writes next to it: the key signed the
bytes, and a statement of their configuration and inputs. --lock requires these inputs to be
those of a lock. --require requires statements about the same bytes, signed by a key of --key: that somebody
rebuilt them (reproduced), that they boot (tested). See docs/trust.md.

Errors end with exit status 5. Warnings do so only with --strict.

--rebuild builds the image again instead. The manifest has the configuration and the digests of the inputs;
the inputs come from the cache or from mirrors, and secrets, mirrors and your own files from --config. If
the bytes differ, the first difference is printed, and the exit status is 5. If they are the same, --attest
signs a statement of it, in IMAGE.intoto.jsonl.`,
		Example: `  mkbuild verify rz_mk_prod-image.0.1.0.iso
  mkbuild verify Core-current.iso --json
  mkbuild verify image.iso --key site.pub --lock mkbuild.lock
  mkbuild verify image.iso --key site.pub --key lab.pub --require reproduced,tested
  mkbuild verify --rebuild rz_mk_prod-image.0.1.0.iso --config mkbuild.yaml --offline`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runVerify(cmd.Context(), w, o, args[0]) },
	}
	f := c.Flags()
	f.BoolVar(&o.json, "json", false, "print JSON (schema "+inspect.VerifySchema+"; with --rebuild "+inspect.RebuildSchema+")")
	f.BoolVar(&o.strict, "strict", false, "count warnings as errors")
	f.BoolVar(&o.again, "rebuild", false, "build the image again and compare the bytes")
	o.trust.addFlags(c)
	o.attest.addFlags(c, "attest", "with --rebuild: sign that the bytes are the same with this secret `key`")
	o.addFetchFlags(c)
	return c
}

func runVerify(ctx context.Context, w *world, o *verifyOptions, name string) error {
	m, err := openImage(name)
	if err != nil {
		return err
	}
	defer m.Close() //nolint:errcheck // only read
	if err := o.checkSigned(w, m); err != nil {
		return err
	}
	if o.again {
		return o.rebuild(ctx, w, m)
	}
	v, err := m.Verify(ctx)
	if err != nil {
		return err
	}
	if err := printReport(w, v, o.json); err != nil {
		return err
	}
	return v.Err(o.strict)
}

// checkSigned checks the image against its signatures, if the flags ask for it.
func (o *verifyOptions) checkSigned(w *world, m *inspect.Image) error {
	if o.attest.key != "" && !o.again {
		return usage("--attest needs --rebuild", "add --rebuild: only a rebuild shows that the bytes are the same")
	}
	t, err := o.trust.wanted()
	if t == nil || err != nil {
		return err
	}
	if err := inspect.CheckSigned(m, *t); err != nil {
		return err
	}
	fmt.Fprintf(w.stderr, "mkbuild: %s: its signature and provenance match the key\n", ui.Clean(m.Name))
	return nil
}

// rebuild builds an image again from its manifest, and compares the bytes.
func (o *verifyOptions) rebuild(ctx context.Context, w *world, m *inspect.Image) error {
	if m.Kind == inspect.KindPXE {
		return fail.New(fail.Usage, "rebuild "+m.Name+": it is a PXE folder", "name the ISO of the same build, which holds the same kernel and initrd")
	}
	if m.Manifest == nil {
		return fmt.Errorf("rebuild %s: %w", m.Name, inspect.ErrNoManifest)
	}
	sign, err := o.attest.attesting(ctx, w, m)
	if err != nil {
		return err
	}
	plan, err := o.planOf(ctx, m.Manifest)
	if err != nil {
		return err
	}
	dir, release, err := wholefile.TempFolder()
	if err != nil {
		return err
	}
	defer release()
	if m.Manifest.Customization != nil {
		if m, err = asBuilt(ctx, m.Name, filepath.Join(dir, "built.iso")); err != nil {
			return err
		}
		defer m.Close() //nolint:errcheck // only read
	}
	name := filepath.Join(dir, "rebuilt.iso")
	if err := o.buildAgain(ctx, w, plan, m.Manifest, name); err != nil {
		return err
	}
	again, err := openImage(name)
	if err != nil {
		return err
	}
	defer again.Close() //nolint:errcheck // only read
	r, err := inspect.CompareRebuilt(m, again)
	if err != nil {
		return err
	}
	if err := printReport(w, r, o.json); err != nil {
		return err
	}
	if err := r.Err(); err != nil {
		return err
	}
	return sign(func(image attest.Descriptor) (*attest.Statement, error) { return attest.Rebuilt(image, versionText()) })
}

// asBuilt removes an image's customization from a copy, to compare it with a rebuild.
func asBuilt(ctx context.Context, image, out string) (*inspect.Image, error) {
	if err := customize.Run(ctx, image, wholefile.Output{Name: out}, customize.Changes{}); err != nil {
		return nil, err
	}
	return openImage(out)
}

// planOf is the plan of the manifest. Mirrors, secrets and the user's own files, which a manifest lacks, come
// from the configuration and the flags.
func (o *verifyOptions) planOf(ctx context.Context, m *manifest.Manifest) (*inputs.Plan, error) {
	own, err := o.load(ctx)
	if err != nil {
		return nil, err
	}
	if len(o.mirrors) > 0 {
		own.Mirrors = o.mirrors
	}
	c, err := own.Restore(m.Config)
	if err != nil {
		return nil, err
	}
	p, err := inputs.NewPlan(c)
	if err != nil {
		return nil, err
	}
	return p, inputs.CheckHost(&p.Config)
}

// buildAgain builds with the manifest as lock: every input by its digest.
func (o *verifyOptions) buildAgain(ctx context.Context, w *world, plan *inputs.Plan, m *manifest.Manifest, name string) error {
	return o.withSink(w, func(sink ui.Sink, _ func()) error {
		b, err := o.unlocked(w, plan, sink)
		if err != nil {
			return err
		}
		if b.Version != m.Mkbuild {
			sink.Event(ui.Event{Level: ui.Warning, Step: "rebuild", Text: fmt.Sprintf("the image was built by mkbuild %s, this is %s: the two versions may explain differences", m.Mkbuild, b.Version)})
		}
		b.Version, b.Inputs.Epoch, b.Inputs.Strict = m.Mkbuild, &m.SourceDate, true
		b.Inputs.Lock = &lock.Lock{
			Schema: lock.Schema, Config: lock.Digest(&plan.Config), Release: m.Release, Arch: m.Arch, Kernel: m.Kernel,
			SourceDate: m.SourceDate, Inputs: m.Inputs,
		}
		o.seal(w, b.Inputs, true)
		s, err := b.Stage(ctx, plan)
		if err != nil {
			return err
		}
		return b.WriteISO(ctx, s, name)
	})
}
