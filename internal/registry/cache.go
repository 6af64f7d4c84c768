package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"

	"mkbuild/internal/fail"
	"mkbuild/internal/store"
)

// Derived content is one layer of an image manifest, whose annotations say what it was made of.
const (
	noteKind  = "mkbuild.kind"
	noteKey   = "mkbuild.key"
	tagPrefix = "mkbuild-"
)

// Place is a repository that builds share.
type Place struct {
	Reference
	// Trust uses content that no lock pins.
	Trust bool
	// Inputs shares inputs, too, and not only what is made of them.
	Inputs bool

	off atomic.Bool // it failed: not asked any more
}

// sharedKinds are what is worth sharing of what a build derives: segments, and the digests of whole initrds.
var sharedKinds = []string{"segment", "sum"}

// asks reports whether the place is for content of a kind.
func (p *Place) asks(kind string) bool {
	return !p.off.Load() && (slices.Contains(sharedKinds, kind) || p.Inputs && kind == store.KindDownload)
}

// Cache is a cache in registries: the second place of a store. Nothing that happens to it fails a build, and a
// build waits for it no longer than patience.
type Cache struct {
	Client   *Client
	From, To []*Place
	// Warn hears what went wrong, once for each place.
	Warn func(place, text string)

	spent atomic.Int64 // nanoseconds that the build has waited for nothing
	mu    sync.Mutex
	made  map[store.Made]bool
	wg    sync.WaitGroup
	slots chan struct{}
	stop  context.CancelFunc
	ctx   context.Context //nolint:containedctx // of what is sent while the build goes on
}

// patience is how long a build waits for its caches in vain, in all.
const patience = 1600 * time.Millisecond

func (c *Cache) left() time.Duration { return patience - time.Duration(c.spent.Load()) }

// Begin begins the time of a build. The caller calls [Cache.End].
func (c *Cache) Begin() *Cache {
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.made, c.slots = map[store.Made]bool{}, make(chan struct{}, together)
	return c
}

// NewPlace reads the address of a place.
func NewPlace(url string) (*Place, error) {
	ref, err := Parse(url)
	if err == nil && (!strings.HasPrefix(url, "oci://") || ref.Digest != "") {
		err = fmt.Errorf("read %q: %w", url, ErrReference)
	}
	if err != nil {
		return nil, &fail.Error{Class: fail.Usage, Hint: "a cache is a repository: oci://registry.example:5000/razor/cache", Err: err}
	}
	return &Place{Reference: Reference{Host: ref.Host, Repository: ref.Repository}}, nil
}

// patiently asks a place. What fails costs patience, and the place is not asked again, unless it only lacks
// something. Nothing is worth more than what is left of patience: only its digest tells what is worth anything.
func (c *Cache) patiently(ctx context.Context, p *Place, do func(context.Context, *remote.Repository) error) error {
	if c.left() <= 0 {
		return context.DeadlineExceeded
	}
	begin := time.Now()
	inner, cancel := context.WithTimeout(ctx, c.left())
	defer cancel()
	repo, err := c.Client.repository(p.Reference)
	if err == nil {
		err = do(inner, repo)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	c.spent.Add(int64(time.Since(begin)))
	if inner.Err() != nil {
		err = errors.New("too slow: the build goes on without it")
	}
	if !errors.Is(err, errdef.ErrNotFound) && !p.off.Swap(true) {
		c.Warn(p.Name(), bare(err).Error())
	}
	return err
}

// Take implements [store.Shared]: it writes the content of a digest.
func (c *Cache) Take(ctx context.Context, kind, sum string, w *store.Writer) bool {
	for _, p := range c.From {
		if !p.asks(kind) || w.Reset() != nil {
			continue
		}
		err := c.patiently(ctx, p, func(ctx context.Context, repo *remote.Repository) error {
			_, r, err := repo.Blobs().FetchReference(ctx, "sha256:"+sum)
			if err != nil {
				return err
			}
			defer r.Close() //nolint:errcheck // only read
			if _, err := io.Copy(w, io.LimitReader(r, maxMedium)); err != nil {
				return err
			}
			if got, _, err := w.Finish(nil); err != nil || got != sum {
				return cmp.Or(err, fmt.Errorf("it gives other content than sha256:%s, which is to be there: that is not used", sum))
			}
			return nil
		})
		if err == nil {
			return true
		}
	}
	return false
}

// tagOf is the tag of what was derived as kind from key.
func tagOf(kind, key string) string {
	sum := sha256.Sum256([]byte(kind + " " + key))
	return tagPrefix + hex.EncodeToString(sum[:])[:40]
}

// derived reads what a tag leads to: derived content, as far as this is a tag of a cache.
func derived(ctx context.Context, repo *remote.Repository, tag string) (d ocispec.Descriptor, m ocispec.Manifest, err error) {
	d, text, err := oras.FetchBytes(ctx, repo, tag, oras.FetchBytesOptions{MaxBytes: maxManifest})
	if err == nil && (json.Unmarshal(text, &m) != nil || m.ArtifactType != typeDerived || len(m.Layers) != 1 || !digestForm.MatchString(m.Layers[0].Digest.String())) {
		err = fmt.Errorf("the tag %s is not of a cache: %w", tag, errdef.ErrNotFound)
	}
	return d, m, err
}

// Find implements [store.Shared]: it returns the digest that a trusted place has for a key.
func (c *Cache) Find(ctx context.Context, kind, key string) (sum string) {
	for _, p := range c.From {
		if !p.Trust || !p.asks(kind) {
			continue
		}
		var m ocispec.Manifest
		err := c.patiently(ctx, p, func(ctx context.Context, repo *remote.Repository) (err error) {
			_, m, err = derived(ctx, repo, tagOf(kind, key))
			return err
		})
		if err == nil && m.Annotations[noteKind] == kind && m.Annotations[noteKey] == key {
			return m.Layers[0].Digest.Encoded()
		}
	}
	return ""
}

// Offer implements [store.Shared]: it sends content to the places that are written to, while the build goes on.
func (c *Cache) Offer(m store.Made, b *store.Blob) {
	c.mu.Lock()
	known := c.made[m]
	c.made[m] = true
	c.mu.Unlock()
	for _, p := range c.To {
		if known || !p.asks(m.Kind) {
			continue
		}
		c.wg.Go(func() {
			c.slots <- struct{}{}
			defer func() { <-c.slots }()
			if p.off.Load() {
				return
			}
			if err := c.send(p, m, b); err != nil && c.ctx.Err() == nil && !p.off.Swap(true) {
				c.Warn(p.Name(), "not written to: "+bare(err).Error())
			}
		})
	}
}

// send sends content, and a tag for its key.
func (c *Cache) send(p *Place, m store.Made, b *store.Blob) error {
	repo, err := c.Client.repository(p.Reference)
	if err != nil {
		return err
	}
	sent, all, tag := parcel{}, b.Stored(), tagOf(m.Kind, m.Key)
	layer := sent.put("application/octet-stream", "", digest.NewDigestFromEncoded(digest.SHA256, m.SHA256), all.Size(), func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(all, 0, all.Size())), nil
	})
	if there, err := repo.Exists(c.ctx, layer); err != nil {
		return err
	} else if _, err := repo.Resolve(c.ctx, tag); err == nil && there {
		return nil
	}
	d, err := sent.manifest(ocispec.Manifest{ArtifactType: typeDerived, Layers: []ocispec.Descriptor{layer}, Annotations: map[string]string{
		noteKind: m.Kind, noteKey: m.Key, ocispec.AnnotationCreated: time.Now().UTC().Format(time.RFC3339),
	}})
	if err != nil {
		return err
	}
	return sent.send(c.ctx, repo, tag, []ocispec.Descriptor{d}, nil)
}

// End waits for what is still being sent, but not for long: what is not sent is offered by the next build. more
// is how much longer it may wait.
func (c *Cache) End(ctx context.Context, more time.Duration) {
	defer c.stop()
	done := make(chan struct{})
	go func() { c.wg.Wait(); close(done) }()
	select {
	case <-done:
		return
	case <-ctx.Done():
		return
	case <-time.After(c.left() + more):
	}
	for _, p := range c.To {
		if !p.off.Swap(true) {
			c.Warn(p.Name(), "too slow: not everything was sent, the next build offers it again")
		}
	}
}

// Made lists what was derived, sorted.
func (c *Cache) Made() []store.Made {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []store.Made
	for m := range c.made {
		if slices.Contains(sharedKinds, m.Kind) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, store.Made.Compare)
	return out
}

// Prune removes the tags of a shared cache that were made longer ago than age, and returns them.
func (p *Place) Prune(ctx context.Context, c *Client, age time.Duration, dryRun bool) (gone []store.Item, err error) {
	repo, err := c.repository(p.Reference)
	if err != nil {
		return nil, err
	}
	var tags []string
	err = repo.Tags(ctx, "", func(some []string) error { tags = append(tags, some...); return nil })
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
