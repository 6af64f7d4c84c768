package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/registry/remote"

	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/ui"
)

// PushOptions say how an image is pushed.
type PushOptions struct {
	// Container makes an image that container runtimes can unpack and mount.
	Container bool
	// Sink hears of progress; nil drops it.
	Sink ui.Sink
}

// Push pushes images, one for each architecture, and what lies next to them, and returns the reference with
// the digest of what the tag leads to now. What the registry has already is not sent again. The tag is moved
// last, so that it never leads to half an image.
func (c *Client) Push(ctx context.Context, ref Reference, images []string, o PushOptions) (Reference, error) {
	if ref.Digest != "" {
		return ref, fail.New(fail.Usage, "push to "+ref.String()+": a digest follows from what is pushed", "name a tag instead: "+ref.Name()+":nightly")
	}
	p := &pusher{sink: o.Sink, ref: ref}
	var err error
	if p.repo, err = c.repository(ctx, ref); err != nil {
		return ref, err
	}
	var all []*object
	for _, name := range images {
		s, err := openSource(name)
		if err != nil {
			return ref, err
		}
		defer s.Close() //nolint:errcheck // only read
		made, err := s.object(ctx, o.Container)
		if err != nil {
			return ref, err
		}
		if slices.ContainsFunc(all, func(x *object) bool { return x.arch == made.arch }) {
			return ref, fail.New(fail.Usage, fmt.Sprintf("push %s: there is an image of %s before it", name, made.arch), "push one image for each architecture, and others under another tag")
		}
		all = append(all, made)
		if err := p.image(ctx, name, made); err != nil {
			return ref, err
		}
	}
	top := all[0]
	if len(all) > 1 {
		if top, err = index(all); err != nil {
			return ref, err
		}
	}
	ref.Digest = top.Digest.String()
	return ref, p.manifest(ctx, top, ref.Tag)
}

// object is the image in the form that was asked for.
func (s *source) object(ctx context.Context, container bool) (*object, error) {
	if container {
		return s.container(ctx)
	}
	return s.artifact(ctx)
}

// pusher sends objects to one repository.
type pusher struct {
	repo *remote.Repository
	ref  Reference
	sink ui.Sink
}

// image sends an image without a tag, and what lies next to it.
func (p *pusher) image(ctx context.Context, name string, o *object) error {
	if err := p.object(ctx, o, ""); err != nil {
		return err
	}
	beside, err := besides(name, o)
	if err != nil {
		return err
	}
	for _, b := range beside {
		if err := p.object(ctx, b, ""); err != nil {
			return err
		}
	}
	return nil
}

// together is how many blobs are sent at once.
const together = 4

// object sends the blobs of an object, then its manifest.
func (p *pusher) object(ctx context.Context, o *object, tag string) error {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(together)
	for _, b := range o.blobs {
		g.Go(func() error { return p.blob(inner, b) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return p.manifest(ctx, o, tag)
}

// blob sends a blob that the registry lacks.
func (p *pusher) blob(ctx context.Context, b *blob) error {
	what := "push " + b.name()
	there := false
	err := attempt(ctx, what, func() (err error) {
		there, err = p.repo.Blobs().Exists(ctx, b.Descriptor)
		return err
	})
	if err != nil || there {
		p.event(b, b.Size, "is there already")
		return err
	}
	return attempt(ctx, what, func() error {
		r, err := b.open()
		if err != nil {
			return err
		}
		defer r.Close() //nolint:errcheck // only read
		err = p.repo.Blobs().Push(ctx, b.Descriptor, &reported{r, func(n int64) { p.event(b, n, "") }, 0})
		if err == nil {
			p.event(b, b.Size, "")
		}
		return err
	})
}

// manifest sends a manifest, if the tag does not lead to it already.
func (p *pusher) manifest(ctx context.Context, o *object, tag string) error {
	ref, what := tag, "push "+p.ref.String()
	if tag == "" {
		ref = o.Digest.String()
	}
	if d, err := p.repo.Resolve(ctx, ref); err == nil && d.Digest == o.Digest {
		return nil
	}
	return attempt(ctx, what, func() error {
		r, err := o.open()
		if err != nil {
			return err
		}
		err = p.repo.Manifests().PushReference(ctx, o.Descriptor, r, ref)
		return errors.Join(err, r.Close())
	})
}

// name is what people call a blob.
func (b *blob) name() string {
	kinds := map[string]string{typeAbout: "manifest", typeLayout: "layout", typeRest: "rest of the medium"}
	return cmp.Or(b.Annotations[ocispec.AnnotationTitle], kinds[b.MediaType], b.Digest.String())
}

func (p *pusher) event(b *blob, done int64, text string) {
	if p.sink != nil && b.Size > 0 {
		p.sink.Event(ui.Event{Level: ui.Progress, Step: "push", Item: b.name(), Text: text, Done: min(done, b.Size), Total: b.Size})
	}
}

// reported is a reader that says how far it is, every so often.
type reported struct {
	io.Reader
	say  func(int64)
	done int64
}

const reportStep = 1 << 20

// Read reads.
func (r *reported) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if r.done/reportStep != (r.done+int64(n))/reportStep {
		r.say(r.done + int64(n))
	}
	r.done += int64(n)
	return n, err
}

// Refuse is the error for a command that needs a registry and must not ask one.
func Refuse(what string, r Reference) error {
	return fmt.Errorf("%s %s: %w", what, r, fetch.ErrOffline)
}
