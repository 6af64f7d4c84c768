package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"mkbuild/internal/fail"
	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

// typeDerived is the artifact type of what a cache holds: one layer, and what it was made of as annotations.
const (
	typeDerived = "application/vnd.mkbuild.derived.v1"
	noteKind    = "mkbuild.kind"
	noteKey     = "mkbuild.key"
	tagPrefix   = "mkbuild-"
)

// Place is a repository that builds share.
type Place struct {
	Reference
	// Trust uses content that no lock pins.
	Trust bool
	// Inputs shares inputs, too, and not only what is made of them.
	Inputs bool

	off      atomic.Bool // it failed: not asked any more
	answered atomic.Bool
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

// patience is how long a build waits for its caches in vain, in all; rate is how many bytes a second are worth
// waiting for, since making them takes as long.
const (
	patience = 1600 * time.Millisecond
	rate     = 8 << 20
)

func (c *Cache) left() time.Duration { return patience - time.Duration(c.spent.Load()) }

// Open begins the time of a build. The caller calls [Cache.Close].
func (c *Cache) Open() *Cache {
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

// meter lets a transfer go on as long as it is worth it.
type meter struct {
	io.Writer
	start time.Time
	left  time.Duration
	got   int64
	timer *time.Timer
}

// Write writes.
func (m *meter) Write(b []byte) (int, error) {
	m.got += int64(len(b))
	m.timer.Reset(m.left + m.earned() - time.Since(m.start))
	return m.Writer.Write(b)
}

func (m *meter) earned() time.Duration { return time.Duration(m.got) * time.Second / rate }

// patiently asks a place, and gives up when waiting has cost more than making.
func (c *Cache) patiently(ctx context.Context, p *Place, w io.Writer, do func(context.Context, io.Writer) error) error {
	if c.left() <= 0 {
		return context.DeadlineExceeded
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &meter{Writer: w, start: time.Now(), left: c.left()}
	m.timer = time.AfterFunc(m.left, cancel)
	defer m.timer.Stop()
	err := do(inner, m)
	cost := time.Since(m.start)
	if err == nil {
		cost -= m.earned()
	}
	c.spent.Add(int64(max(cost, 0)))
	if inner.Err() != nil && ctx.Err() == nil {
		err = errors.New("too slow: the build goes on without it")
	}
	if err != nil && ctx.Err() == nil && !p.off.Swap(true) {
		c.Warn(p.Name(), err.Error())
	}
	return err
}

// Take implements [store.Shared]: it writes the content of a digest.
func (c *Cache) Take(ctx context.Context, kind, sum string, w *store.Writer) bool {
	for _, p := range c.From {
		if !p.asks(kind) || w.Reset() != nil {
			continue
		}
		found := false
		err := c.patiently(ctx, p, w, func(ctx context.Context, w io.Writer) (err error) {
			r := p.Reference
			r.Digest = "sha256:" + sum
			found, err = c.read(ctx, r, "blobs", maxMedium, w)
			return err
		})
		if err != nil || !found {
			continue
		}
		if got, _, err := w.Finish(nil); err == nil && got == sum {
			return true
		}
		c.Warn(p.Name(), "it gives other content than sha256:"+sum+", which is to be there: that is not used")
	}
	return false
}

// read copies an object, of at most limit bytes. found is false if the registry does not have it.
func (c *Cache) read(ctx context.Context, r Reference, kind string, limit int64, w io.Writer) (found bool, err error) {
	resp, err := c.Client.get(ctx, r, kind, "")
	if err != nil {
		return false, err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	switch resp.StatusCode {
	case http.StatusOK:
		_, err = io.Copy(w, io.LimitReader(resp.Body, limit))
		return true, err
	case http.StatusNotFound:
		return false, nil
	}
	return false, fmt.Errorf("the registry answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
}

// tagOf is the tag of what was derived as kind from key.
func tagOf(kind, key string) string {
	sum := sha256.Sum256([]byte(kind + " " + key))
	return tagPrefix + hex.EncodeToString(sum[:])[:40]
}

// Find implements [store.Shared]: it returns the digest that a trusted place has for a key.
func (c *Cache) Find(ctx context.Context, kind, key string) (sum string) {
	for _, p := range c.From {
		if !p.Trust || !p.asks(kind) {
			continue
		}
		var text bytes.Buffer
		err := c.patiently(ctx, p, &text, func(ctx context.Context, w io.Writer) error {
			r := p.Reference
			r.Digest, r.Tag = "", tagOf(kind, key)
			_, err := c.read(ctx, r, "manifests", maxManifest, w)
			return err
		})
		var m ocispec.Manifest
		if err == nil && json.Unmarshal(text.Bytes(), &m) == nil && m.ArtifactType == typeDerived && len(m.Layers) == 1 &&
			m.Annotations[noteKind] == kind && m.Annotations[noteKey] == key && digestForm.MatchString(m.Layers[0].Digest.String()) {
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
				c.Warn(p.Name(), "not written to: "+err.Error())
			}
		})
	}
}

// send sends content, and a tag for its key.
func (c *Cache) send(p *Place, m store.Made, b *store.Blob) error {
	repo, err := c.Client.repository(c.ctx, p.Reference)
	if err != nil {
		return err
	}
	tag := tagOf(m.Kind, m.Key)
	all := b.Stored()
	open := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(all, 0, all.Size())), nil }
	layer := newBlob("application/octet-stream", "sha256:"+m.SHA256, all.Size(), "", open)
	there, err := repo.Blobs().Exists(c.ctx, layer.Descriptor)
	if err != nil {
		return err
	}
	p.answered.Store(true)
	if _, err := repo.Resolve(c.ctx, tag); err == nil && there {
		return nil
	}
	o, err := pack(ocispec.Manifest{ArtifactType: typeDerived, Annotations: map[string]string{
		noteKind: m.Kind, noteKey: m.Key, ocispec.AnnotationCreated: time.Now().UTC().Format(time.RFC3339),
	}}, textBlob(ocispec.MediaTypeEmptyJSON, []byte("{}"), ""), []*blob{layer})
	if err != nil {
		return err
	}
	return (&pusher{repo: repo, ref: p.Reference}).object(c.ctx, o, tag)
}

// Close waits for what is still being sent, but not for long: what is not sent is offered by the next build. more
// is how much longer it may wait for a place that answers.
func (c *Cache) Close(ctx context.Context, more time.Duration) {
	defer c.stop()
	done := make(chan struct{})
	go func() { c.wg.Wait(); close(done) }()
	first, last := time.After(min(c.left(), patience/4)+more/10), time.After(c.left()+more)
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-first:
			if slices.ContainsFunc(c.To, func(p *Place) bool { return p.answered.Load() && !p.off.Load() }) {
				continue
			}
		case <-last:
		}
		for _, p := range c.To {
			if !p.off.Swap(true) {
				c.Warn(p.Name(), "too slow: not everything was sent, the next build offers it again")
			}
		}
		return
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
func (c *Client) Prune(ctx context.Context, p *Place, age time.Duration, dryRun bool) (gone []store.Item, err error) {
	repo, err := c.repository(ctx, p.Reference)
	if err != nil {
		return nil, err
	}
	var tags []string
	err = attempt(ctx, "list the tags of "+p.Name(), func() error {
		tags = nil
		return repo.Tags(ctx, "", func(some []string) error { tags = append(tags, some...); return nil })
	})
	if err != nil {
		return nil, err
	}
	for _, tag := range tags {
		var text bytes.Buffer
		r := Reference{Host: p.Host, Repository: p.Repository, Tag: tag}
		found, err := (&Cache{Client: c}).read(ctx, r, "manifests", maxManifest, &text)
		if err != nil {
			return gone, explain(ctx, "read "+r.String(), err)
		}
		var m ocispec.Manifest
		if !found || json.Unmarshal(text.Bytes(), &m) != nil || m.ArtifactType != typeDerived || !strings.HasPrefix(tag, tagPrefix) || len(m.Layers) != 1 {
			continue // not of a cache
		}
		made, err := time.Parse(time.RFC3339, m.Annotations[ocispec.AnnotationCreated])
		if err != nil || time.Since(made) < age {
			continue
		}
		if !dryRun {
			if err := repo.Manifests().Delete(ctx, describe(text.Bytes())); err != nil {
				return gone, explain(ctx, "remove "+r.String(), err)
			}
		}
		gone = append(gone, store.Item{Kind: m.Annotations[noteKind], Names: []string{tag}, Size: m.Layers[0].Size, SHA256: m.Layers[0].Digest.Encoded(), Used: made})
	}
	return gone, nil
}

// typeMirror is the artifact type of a mirror: an image manifest with one layer for each file, whose title is
// the file's path.
const typeMirror = "application/vnd.mkbuild.mirror.v1"

// PushMirror puts the files of a mirror into a registry, and returns the reference with the digest of all of
// them. The same files give the same digest. Those at the top, which name the folder itself, stay out.
func (c *Client) PushMirror(ctx context.Context, ref Reference, dir string, sink ui.Sink) (Reference, error) {
	repo, err := c.repository(ctx, ref)
	if err != nil {
		return ref, err
	}
	var layers []*blob
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.Contains(name, "/") {
			return err
		}
		open := func() (io.ReadCloser, error) { return os.Open(filepath.Join(dir, filepath.FromSlash(name))) }
		r, err := open()
		if err != nil {
			return err
		}
		defer r.Close() //nolint:errcheck // only read
		info, err := d.Info()
		if err != nil {
			return err
		}
		sum, err := digest.FromReader(&stoppable{ctx, r})
		layers = append(layers, newBlob(typeFile, sum.String(), info.Size(), name, open))
		return err
	})
	if err != nil {
		return ref, err
	}
	o, err := pack(ocispec.Manifest{ArtifactType: typeMirror}, textBlob(ocispec.MediaTypeEmptyJSON, []byte("{}"), ""), layers)
	if err != nil {
		return ref, err
	}
	ref.Digest = o.Digest.String()
	return ref, (&pusher{repo: repo, ref: ref, sink: sink}).object(ctx, o, ref.Tag)
}

// mirror returns the digests of a mirror's files by their paths; nil if there is no mirror. It asks once.
func (c *Client) mirror(ctx context.Context, r Reference) (map[string]string, error) {
	if known, ok := c.found.Load(r.String()); ok {
		return known.(map[string]string), nil
	}
	resp, err := c.get(ctx, r, "manifests", "")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	switch resp.StatusCode {
	case 200:
	case 404:
		return nil, nil
	case 401, 403:
		return nil, fail.New(fail.Network, "read the mirror "+r.String()+": the registry wants other credentials", loginHint)
	default:
		return nil, fmt.Errorf("read the mirror %s: the registry answered %d", r, resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest+1))
	if err != nil {
		return nil, err
	}
	var m ocispec.Manifest
	err = json.Unmarshal(text, &m)
	switch {
	case r.Digest != "" && describe(text).Digest.String() != r.Digest:
		err = fmt.Errorf("it is %s", describe(text).Digest)
	case err == nil && (m.ArtifactType != typeMirror || len(m.Layers) > maxLayers || len(text) > maxManifest):
		err = fmt.Errorf("its artifact type is %.100q, with %d files", m.ArtifactType, len(m.Layers))
	}
	if err != nil {
		return nil, &fail.Error{Class: fail.Verification, What: "read the mirror " + r.String(), Hint: "`mkbuild mirror --oci REF` writes one", Err: err}
	}
	files := map[string]string{}
	for _, l := range m.Layers {
		if sum := l.Digest.String(); digestForm.MatchString(sum) {
			files[l.Annotations[ocispec.AnnotationTitle]] = sum
		}
	}
	c.found.Store(r.String(), files)
	return files, nil
}
