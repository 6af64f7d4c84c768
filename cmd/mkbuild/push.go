package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"mkbuild/internal/attest"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/inspect"
	"mkbuild/internal/registry"
	"mkbuild/internal/remaster"
	"mkbuild/internal/ui"
	"mkbuild/internal/wholefile"
)

func pushCommand(w *world) *cobra.Command {
	o, form := &buildOptions{}, ""
	c := &cobra.Command{
		Use:   "push REF IMAGE...",
		Short: "Push images to an OCI registry",
		Long: `Push an ISO or a PXE folder that mkbuild built to an OCI registry: REF is HOST/REPOSITORY:TAG. Several
images, one for each architecture, become one index. Files next to an image go with it, as objects
that refer to it: OUTPUT.spdx.json, OUTPUT.minisig, OUTPUT.intoto.jsonl.

Parts that the registry has are not sent again, so a nightly sends only what changed. The tag is moved last.
mkbuild pull returns the same bytes.

--oci-form container makes an image that container runtimes unpack and Kubernetes mounts as a volume. It
holds the files of the PXE folder, or the ISO. mkbuild pull refuses it.

See docs/registry.md for credentials. stdout is the reference with the tag's new digest.`,
		Example: `  mkbuild push registry.example:5000/razor/mk:nightly nightly.iso
  mkbuild push registry.example:5000/razor/mk:1.0 prod.iso prod64.iso
  mkbuild push --oci-form container registry.example:5000/razor/mk-files:1.0 prod-pxe`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return runPush(cmd.Context(), w, o, form, args) },
	}
	c.Flags().StringVar(&form, "oci-form", "artifact", "artifact, or container for container runtimes")
	o.addRegistryFlags(c)
	c.Flags().Lookup("offline").Usage = "refuse to use the network: a push fails"
	return c
}

// addRegistryFlags adds the flags that push and pull share.
func (o *buildOptions) addRegistryFlags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&o.plainHTTP, "plain-http", false, "ask registries without TLS")
	f.BoolVar(&o.requireHTTPS, "require-https", false, "refuse a registry on plain http")
	f.BoolVar(&o.offline, "offline", false, "use the cache alone")
	f.StringVar(&o.progress, "progress", "auto", "progress on stderr: auto, plain, json or quiet")
}

// registry returns the client of registries.
func (o *buildOptions) registry(w *world) *registry.Client {
	return &registry.Client{
		PlainHTTP: o.plainHTTP, RequireHTTPS: o.requireHTTPS, DockerConfig: dockerConfig(w), UserAgent: "mkbuild/" + versionText(),
		HTTP: w.transfers,
	}
}

// dockerConfig is the path of docker's credentials; "" for a user without a home.
func dockerConfig(w *world) string {
	if dir := w.getenv("DOCKER_CONFIG"); dir != "" {
		return filepath.Join(dir, "config.json")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".docker", "config.json")
}

func runPush(ctx context.Context, w *world, o *buildOptions, form string, args []string) error {
	ref, err := registry.Parse(args[0])
	if err != nil {
		return err
	}
	if form != "artifact" && form != "container" {
		return usage(fmt.Sprintf("--oci-form: unknown form %q", form), "choose one of artifact, container")
	}
	if o.offline {
		return fail.Wrap(fail.Network, fmt.Errorf("push to %s: %w", ref, fetch.ErrOffline), "a push needs the network: leave --offline out")
	}
	return o.withSink(w, func(sink ui.Sink, stop func()) error {
		pushed, err := o.registry(w).Push(ctx, ref, args[1:], form == "container", sink)
		if err != nil {
			return err
		}
		stop()
		_, err = fmt.Fprintln(w.stdout, pushed)
		return err
	})
}

// pullOptions are the flags of mkbuild pull.
type pullOptions struct {
	isoOptions
	trust trustOptions
}

func pullCommand(w *world) *cobra.Command {
	o := &pullOptions{}
	c := &cobra.Command{
		Use:   "pull REF",
		Short: "Pull an image from an OCI registry",
		Long: `Pull an image that mkbuild push pushed, with the same bytes: REF is HOST/REPOSITORY:TAG or
HOST/REPOSITORY@sha256:DIGEST. With both, a tag that leads to another digest is refused.

Every part is fetched by its digest and kept in the cache: a second pull fetches only new parts,
and an interrupted pull continues. Nothing is written before every part is there and checked.

--format names the forms to write, as for mkbuild iso; the default is the form that was pushed. A PXE folder and
Razor's tar are made of an ISO, with the same bytes as the build's. Signatures and other files that
belong to an image are written next to the form that was pushed.

--key, --require and --lock are those of mkbuild verify: an image that none of the keys signed, or that
lacks a required statement, is refused, and nothing is written.

stdout is the path of each form, one a line, and nothing else.`,
		Example: `  mkbuild pull registry.example:5000/razor/mk:nightly
  mkbuild pull registry.example:5000/razor/mk:1.0 --arch x86_64 --format iso,pxe -o prod64.iso
  mkbuild pull registry.example:5000/razor/mk:nightly --key site.pub --require tested
  mkbuild pull registry.example:5000/razor/mk@sha256:DIGEST -o - > mk.iso`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runPull(cmd.Context(), w, o, args[0]) },
	}
	f := c.Flags()
	f.StringVarP(&o.output, "output", "o", "", "output `file` or folder, - for stdout (default rz_mk_{prod,dev,debug}-image.<version>.iso)")
	f.StringSliceVar(&o.forms, "format", nil, "`forms` to write, separated by commas: iso, pxe, razor (default the one that was pushed)")
	f.StringVar(&o.arch, "arch", "", "architecture, if there are several: x86 or x86_64")
	f.StringVar(&o.cacheDir, "cache-dir", "", "where downloads are kept (default $MKBUILD_CACHE_DIR, else your user cache folder)")
	o.addRegistryFlags(c)
	o.trust.addFlags(c)
	return c
}

func runPull(ctx context.Context, w *world, o *pullOptions, name string) error {
	ref, err := registry.Parse(name)
	if err != nil {
		return err
	}
	if o.arch != "" && o.arch != "x86" && o.arch != "x86_64" {
		return usage(fmt.Sprintf("--arch: unknown value %q", o.arch), "choose one of x86, x86_64")
	}
	trust, err := o.trust.wanted()
	if err != nil {
		return err
	}
	if len(o.forms) > 0 { // before the first request
		if _, err := o.outputs(w, o.forms[0], "x.iso"); err != nil {
			return err
		}
	}
	return o.withSink(w, func(sink ui.Sink, stop func()) error {
		in, err := o.inputOptions(w, sink)
		if err != nil {
			return err
		}
		dir, release, err := wholefile.TempFolder()
		if err != nil {
			return err
		}
		defer release()
		img, err := o.registry(w).Pull(ctx, in.Fetch, ref, o.arch, dir)
		if err != nil {
			return err
		}
		outputs, err := o.write(ctx, w, img, trust)
		if err != nil {
			return err
		}
		stop()
		return printOutputs(w, outputs)
	})
}

// write writes the pulled image, if it is signed as the flags require.
func (o *pullOptions) write(ctx context.Context, w *world, img *registry.Image, trust *inspect.Trust) ([]remaster.Output, error) {
	outputs, err := o.outputs(w, string(img.Form), img.Name)
	var places []hostfile.Place
	for _, out := range outputs {
		places = append(places, img.Places(out)...)
	}
	if err == nil {
		err = o.allowPlaces(ctx, w, places)
	}
	if err == nil && trust != nil {
		err = checkPulled(img, *trust)
	}
	for _, out := range outputs {
		if err == nil {
			err = img.Write(ctx, out)
		}
	}
	return outputs, err
}

// checkPulled checks an image against its signatures.
func checkPulled(img *registry.Image, t inspect.Trust) error {
	if _, err := os.Stat(attest.SignatureName(img.Path)); err != nil {
		return fail.New(fail.Verification, fmt.Sprintf("pull %s: it is not signed", img.Ref), "have it signed before it is pushed: mkbuild iso --sign KEY")
	}
	m, err := openImage(img.Path)
	if err != nil {
		return err
	}
	defer m.Close() //nolint:errcheck // only read
	err = inspect.CheckSigned(m, t)
	if e, ok := errors.AsType[*fail.Error](err); ok {
		e.What = fmt.Sprintf("pull %s", img.Ref)
	}
	return err
}

// outputs are the outputs of a pull; by default the form that was pushed.
func (o *pullOptions) outputs(w *world, pushed, name string) ([]remaster.Output, error) {
	if len(o.forms) == 0 {
		o.forms = []string{pushed}
	}
	outputs, err := remaster.Outputs(o.forms, cmp.Or(o.output, name), o.output != "")
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(outputs, func(x remaster.Output) bool { return x.Form == remaster.FormTar }) {
		return nil, usage("--format: pull cannot make tar from an image", "the forms are iso, pxe and razor")
	}
	outputs[0].Stream, err = o.stream(w, outputs)
	return outputs, err
}
