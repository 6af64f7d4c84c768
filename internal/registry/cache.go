package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"

	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/store"
)

// Derived content is one layer of an image manifest; its annotations name its sources.
const (
	noteKind  = "mkbuild.kind"
	noteKey   = "mkbuild.key"
	tagPrefix = "mkbuild-"
)

// Place is a repository of a shared cache.
type Place struct {
	Reference
	config.CachePlace

	off atomic.Bool // it failed: not asked any more
}

// NewPlace reads the address of a place.
func NewPlace(p config.CachePlace) (*Place, error) {
	ref, err := Parse(p.URL)
	if err == nil && (!strings.HasPrefix(p.URL, "oci://") || ref.Digest != "") {
		err = fmt.Errorf("read %q: %w", p.URL, ErrReference)
	}
	if err != nil {
		return nil, fail.Wrap(fail.Usage, err, "a cache is a repository: oci://registry.example:5000/razor/cache")
	}
	return &Place{Reference: Reference{Host: ref.Host, Repository: ref.Repository}, CachePlace: p}, nil
}

// sharedKinds are the derived kinds worth sharing: segments, and the digests of whole initrds.
var sharedKinds = []string{"segment", "sum"}

// asks reports whether the place takes content of a kind.
func (p *Place) asks(kind string) bool {
	return !p.off.Load() && (slices.Contains(sharedKinds, kind) || p.Inputs && kind == store.KindDownload)
}

// Cache is a cache in registries: the second place of a store. Its failures never fail a build, and a build waits
// for it no longer than patience.
type Cache struct {
	client   *Client
	from, to []*Place
	warn     func(place, text string)

	spent atomic.Int64 // nanoseconds that the build has waited in vain
	made  sync.Map     // of store.Made
	wg    sync.WaitGroup
	slots chan struct{}
	stop  context.CancelFunc
	ctx   context.Context //nolint:containedctx // of what is sent while the build goes on
}

// patience is how long a build waits for its caches in vain, in all.
const patience = 1600 * time.Millisecond

// NewCache returns the cache of one build; nil without places. The caller calls [Cache.End]. warn gets one error
// of each place.
func NewCache(client *Client, places config.Cache, warn func(place, text string)) (*Cache, error) {
	c := &Cache{client: client, warn: warn, slots: make(chan struct{}, together)}
	for _, p := range slices.Concat(places.From, places.To) {
		made, err := NewPlace(p)
		if err != nil {
			return nil, err
		}
		c.from = append(c.from, made)
	}
	if len(c.from) == 0 {
		return nil, nil
	}
	c.from, c.to = c.from[:len(places.From)], c.from[len(places.From):]
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c, nil
}

func (c *Cache) left() time.Duration { return patience - time.Duration(c.spent.Load()) }

// giveUp stops asking a place.
func (c *Cache) giveUp(p *Place, text string) {
	if !p.off.Swap(true) {
		c.warn(p.Name(), text)
	}
}

// question asks a place; its error means that the place lacks the content.
type question func(context.Context, *Place, *remote.Repository) error

// ask asks the places for reading, until one has the content.
func (c *Cache) ask(ctx context.Context, kind string, q question) bool {
	return slices.ContainsFunc(c.from, func(p *Place) bool { return p.asks(kind) && c.left() > 0 && c.patiently(ctx, p, q) == nil })
}

// patiently asks a place within the rest of patience. Failures use it up, and the place is not asked again,
// unless it only lacks the content.
func (c *Cache) patiently(ctx context.Context, p *Place, q question) error {
	begin := time.Now()
	inner, cancel := context.WithTimeout(ctx, c.left())
	defer cancel()
	repo, err := c.client.repository(p.Reference)
	if err == nil {
		err = q(inner, p, repo)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	c.spent.Add(int64(time.Since(begin)))
	if inner.Err() != nil {
		err = errors.New("too slow: the build goes on without it")
	}
	if !errors.Is(err, errdef.ErrNotFound) {
		c.giveUp(p, bare(err).Error())
	}
	return err
}

// Take implements [store.Shared]: it writes the content of a digest.
func (c *Cache) Take(ctx context.Context, kind, sum string, w *store.Writer) bool {
	return c.ask(ctx, kind, func(ctx context.Context, _ *Place, repo *remote.Repository) error {
		_, r, err := repo.Blobs().FetchReference(ctx, "sha256:"+sum)
		if err != nil {
			return err
		}
		defer r.Close() //nolint:errcheck // only read
		if err := w.Reset(); err != nil {
			return err
		}
		if _, err := io.Copy(w, io.LimitReader(r, maxMedium)); err != nil {
			return err
		}
		if got, _, err := w.Finish(nil); err != nil || got != sum {
			return cmp.Or(err, fmt.Errorf("it sent other content for sha256:%s, which is not used", sum))
		}
		return nil
	})
}

// tagOf returns the tag of content derived as kind from key.
func tagOf(kind, key string) string {
	sum := sha256.Sum256([]byte(kind + " " + key))
	return fmt.Sprintf("%s%x", tagPrefix, sum[:20])
}

// derived reads a tag's derived content, if it is a tag of a cache.
func derived(ctx context.Context, repo *remote.Repository, tag string) (d ocispec.Descriptor, m ocispec.Manifest, err error) {
	d, m, err = readManifest(ctx, repo, tag)
	if err == nil && (m.ArtifactType != typeDerived || len(m.Layers) != 1) {
		err = fmt.Errorf("the tag %s is not of a cache: %w", tag, errdef.ErrNotFound)
	}
	return d, m, err
}

// Find implements [store.Shared]: it returns a trusted place's digest for a key.
func (c *Cache) Find(ctx context.Context, kind, key string) (sum string) {
	c.ask(ctx, kind, func(ctx context.Context, p *Place, repo *remote.Repository) error {
		if !p.Trust {
			return errdef.ErrNotFound
		}
		_, m, err := derived(ctx, repo, tagOf(kind, key))
		if err == nil && (m.Annotations[noteKind] != kind || m.Annotations[noteKey] != key) {
			return errdef.ErrNotFound
		}
		if err == nil {
			sum = m.Layers[0].Digest.Encoded()
		}
		return err
	})
	return sum
}

// Offer implements [store.Shared]: it sends content to the places for writing, while the build goes on.
func (c *Cache) Offer(m store.Made, b *store.Blob) {
	if _, known := c.made.LoadOrStore(m, true); known {
		return
	}
	for _, p := range c.to {
		c.wg.Go(func() { c.offer(p, m, b) })
	}
}

func (c *Cache) offer(p *Place, m store.Made, b *store.Blob) {
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	if p.asks(m.Kind) {
		if err := c.send(p, m, b); err != nil && c.ctx.Err() == nil {
			c.giveUp(p, "not written to: "+bare(err).Error())
		}
	}
}

// send sends content, and a tag for its key.
func (c *Cache) send(p *Place, m store.Made, b *store.Blob) error {
	repo, err := c.client.repository(p.Reference)
	if err != nil {
		return err
	}
	sent, all, tag := newParcel(nil), b.Stored(), tagOf(m.Kind, m.Key)
	layer := sent.put("application/octet-stream", "", digest.NewDigestFromEncoded(digest.SHA256, m.SHA256), all.Size(), func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(all, 0, all.Size())), nil
	})
	if there, err := repo.Exists(c.ctx, layer); err != nil {
		return err
	} else if _, err := repo.Resolve(c.ctx, tag); err == nil && there {
		return nil
	}
	d := sent.manifest(ocispec.Manifest{ArtifactType: typeDerived, Layers: []ocispec.Descriptor{layer}, Annotations: map[string]string{
		noteKind: m.Kind, noteKey: m.Key, ocispec.AnnotationCreated: time.Now().UTC().Format(time.RFC3339),
	}})
	return sent.send(c.ctx, repo, tag, d)
}

// End waits for content on its way, longer than the rest of patience; the next build offers the rest again.
func (c *Cache) End(ctx context.Context, more time.Duration) {
	if c == nil {
		return
	}
	defer c.stop()
	done := make(chan struct{})
	go func() { c.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	case <-time.After(c.left() + more):
		for _, p := range c.to {
			c.giveUp(p, "too slow: not everything was sent, the next build offers it again")
		}
	}
}

// Made lists the derived content, sorted.
func (c *Cache) Made() (out []store.Made) {
	for m := range c.made.Range {
		if m := m.(store.Made); slices.Contains(sharedKinds, m.Kind) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b store.Made) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key)) })
	return out
}

// Prune removes the tags of a shared cache that were made longer ago than age, and returns them.
func (p *Place) Prune(ctx context.Context, c *Client, age time.Duration, dryRun bool) (gone []store.Item, err error) {
	repo, err := c.repository(p.Reference)
	if err != nil {
		return nil, err
	}
	tags, err := registry.Tags(ctx, repo)
	if err != nil {
		return nil, explain(ctx, "list the tags of "+p.Name(), err)
	}
	for _, tag := range tags {
		if !strings.HasPrefix(tag, tagPrefix) {
			continue
		}
		d, m, err := derived(ctx, repo, tag)
		if errors.Is(err, errdef.ErrNotFound) {
			continue
		}
		made, old := time.Parse(time.RFC3339, m.Annotations[ocispec.AnnotationCreated])
		if err == nil && (old != nil || time.Since(made) < age) {
			continue
		}
		if err == nil && !dryRun {
			err = repo.Delete(ctx, d)
		}
		if err != nil {
			return gone, explain(ctx, "remove "+p.Name()+":"+tag, err)
		}
		gone = append(gone, store.Item{Kind: m.Annotations[noteKind], Names: []string{tag}, Size: m.Layers[0].Size, SHA256: m.Layers[0].Digest.Encoded(), Used: made})
	}
	return gone, nil
}
