package generations

import (
	"cmp"
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
	"strings"
	"time"

	"mkbuild/internal/extension"
	"mkbuild/internal/fail"
	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/mkclient/settings"
)

const (
	refusedLooks = 20 // cycles between checks of a refused archive
	notZipLooks  = 4  // the same for a file that is not a zip archive: it may be incomplete
)

// take downloads, checks and unpacks an archive, and switches to it.
func (s *Store) take(ctx context.Context, cancel context.CancelCauseFunc, target string, have *validators, resp *http.Response) error {
	f, err := os.CreateTemp(s.Dir, "download-*")
	if err != nil {
		return fmt.Errorf("store extension: %w", err)
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	rep := replyOf(resp)
	g := generation{URL: target, validators: validators{LastModified: rep.LastModified, ETag: rep.ETag}}
	g.Size, g.SHA256, err = download(ctx, cancel, f, resp, s.Limits.Compressed, s.Web.Timeouts.Stall)
	if why, ok := errors.AsType[*extension.Error](err); ok {
		g.Size = rep.Length
		return s.refuse(g, refusedLooks, why) // not to be started again in every cycle
	}
	if err != nil {
		return fmt.Errorf("download %s: %w", settings.Redact(target), err)
	}
	if have != nil && rep.LastModified == "" && g.SHA256 == s.state.Generations[0].SHA256 {
		return nil // the same bytes, from a server without timestamps
	}
	if !s.pinned(g.SHA256) {
		return s.refuse(g, refusedLooks, fmt.Errorf("the extension has the sha256 %s, razor.extend_sha256 is %s", g.SHA256, s.Settings.ExtendSHA256))
	}
	if err = unseal(f, &g, s.Root, s.state.Sequence); err == nil {
		err = s.adopt(ctx, f, g)
	}
	why, ofArchive := errors.AsType[*extension.Error](err)
	switch {
	case err == nil:
		s.forgive()
		return nil
	case ofArchive && broken(why):
		return s.refuse(g, refusedLooks, why)
	case ofArchive && why.Kind == extension.NotZip && why.Member == "" && rep.Length >= 0:
		// All announced bytes have arrived: another request returns the same.
		return s.refuse(g, notZipLooks, errors.New(why.Reason))
	}
	return err
}

// refuse records why the archive is unusable, and for how many cycles.
func (s *Store) refuse(g generation, looks int, why error) error {
	s.state.Refused = &refusal{URL: g.URL, validators: g.validators, Reason: why.Error(), Left: looks}
	s.Log.Changed("refused", clientlog.Error, "extension of %s is refused: %v", g.LastModified, why)
	return fail.New(fail.Verification, why.Error(), "")
}

// forgive forgets a refused archive that the server no longer offers.
func (s *Store) forgive() {
	s.state.Refused = nil
	s.Log.Changed("refused", clientlog.Info, "")
}

var errEmpty = fail.New(fail.Network, "empty or partial answer", "")

// broken reports a fault of the archive itself, which only a new archive can fix. Damage in transit and faults of
// this machine may pass.
func broken(why *extension.Error) bool {
	return why.Kind != extension.NotZip && why.Kind != extension.Damaged
}

var errStalled = fmt.Errorf("the download stalled: %w", context.DeadlineExceeded)

// download copies the body into f and hashes it. It cancels the request if nothing comes for stall.
func download(ctx context.Context, cancel context.CancelCauseFunc, f *os.File, resp *http.Response, limit int64, stall time.Duration) (int64, string, error) {
	over := &extension.Error{Kind: extension.Limit, Reason: fmt.Sprintf("archive size exceeds %d", limit)}
	if resp.ContentLength > limit {
		return 0, "", over
	}
	timer := time.AfterFunc(stall, func() { cancel(errStalled) })
	defer timer.Stop()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum, touch(func() { timer.Reset(stall) })), io.LimitReader(resp.Body, limit+1))
	switch {
	case errors.Is(context.Cause(ctx), errStalled):
		return n, "", errStalled
	case err != nil:
		return n, "", err
	case n > limit:
		return n, "", over
	case resp.ContentLength >= 0 && n != resp.ContentLength:
		return n, "", io.ErrUnexpectedEOF
	case n == 0:
		return 0, "", errEmpty
	}
	return n, hex.EncodeToString(sum.Sum(nil)), nil
}

// touch is called whenever bytes arrive.
type touch func()

// Write implements [io.Writer].
func (t touch) Write(p []byte) (int, error) {
	t()
	return len(p), nil
}

// useBaked unpacks the image's own extension if there is no other. An unusable one is logged once: it does not
// change before the next boot.
func (s *Store) useBaked(ctx context.Context) {
	if len(s.state.Generations) > 0 || s.Settings.ExtendURL() == "" {
		return
	}
	if err := s.takeBaked(ctx); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Log.Changed("baked", clientlog.Error, "the image's own extension %s is not used: %v", s.Root.Path(Baked), err)
	}
}

func (s *Store) takeBaked(ctx context.Context) error {
	f, err := os.Open(s.Root.Path(Baked))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(f, s.Limits.Compressed+1))
	if err != nil {
		return err
	}
	g := generation{URL: bakedURL, SHA256: hex.EncodeToString(sum.Sum(nil)), validators: validators{Size: n}}
	if !s.pinned(g.SHA256) {
		return fmt.Errorf("its sha256 is %s, razor.extend_sha256 is %s", g.SHA256, s.Settings.ExtendSHA256)
	}
	return s.adopt(ctx, f, g)
}

// adopt unpacks an archive into a new directory and switches to it. The CRC of every member has been
// checked by then.
func (s *Store) adopt(ctx context.Context, f *os.File, g generation) error {
	src, err := extension.Open(f, cmp.Or(g.bare, g.Size), s.limits())
	if err != nil {
		return fmt.Errorf("unpack extension: %w", err)
	}
	g.Note = uselessNote(src)
	dir, err := os.MkdirTemp(s.Dir, "g-*")
	if err != nil {
		return fmt.Errorf("unpack extension: %w", err)
	}
	if err := src.Extract(ctx, dir); err != nil {
		_ = os.RemoveAll(dir) // the next collection finds the rest
		return fmt.Errorf("unpack extension: %w", err)
	}
	g.Dir = filepath.Base(dir)
	before := s.state
	s.state.Generations = trim(append([]generation{g}, before.Generations...))
	s.state.Sequence = max(g.Sequence, before.Sequence)
	if err := s.save(); err != nil {
		s.state = before
		_ = os.RemoveAll(dir) // the next collection finds the rest
		return fmt.Errorf("switch to the new extension: %w", err)
	}
	s.Log.Logf(clientlog.Info, "extension of %s, sha256 %s, installed in %s", g.origin(), g.SHA256, dir)
	if g.Note != "" {
		s.Log.Logf(clientlog.Warn, "extension of %s: %s", g.origin(), g.Note)
	}
	return nil
}

// limits lowers the limits to this machine's memory: the unpacked tree is in RAM.
func (s *Store) limits() extension.Limits {
	lim, memory := s.Limits, s.Root.Memory()
	free, ok := memory["MemAvailable"]
	if !ok { // before Linux 3.14: the certainly free memory
		free = memory["MemFree"] + memory["Buffers"]
	}
	if free > 0 {
		lim.Total = min(lim.Total, free<<10/2)
	}
	return lim
}

// uselessNote is a note for the author of an archive in which the client uses nothing; "" for a useful or empty
// one.
func uselessNote(src *extension.Source) string {
	for i := range src.Files {
		if first, _, _ := strings.Cut(src.Files[i].Path, "/"); extension.Role(first) != "" {
			return ""
		}
	}
	if len(src.Files) == 0 {
		return ""
	}
	return "nothing in it is used: no bin, lib or facts.d"
}

// trim keeps the newest generation and the newest good one after it.
func trim(list []generation) []generation {
	kept := list[:1:1]
	for _, g := range list[1:] {
		if !g.bad() {
			return append(kept, g)
		}
	}
	return kept
}

// trustOf reads the keys of an image; nil without keys. An unreadable file trusts nobody.
func trustOf(root facts.Root) (*extension.Trust, error) {
	b, err := os.ReadFile(root.Path(extension.KeysFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no keys is a normal answer
	}
	t := &extension.Trust{}
	if err == nil {
		err = json.Unmarshal(b, t)
	}
	if err == nil && len(t.Keys) == 0 {
		err = errors.New("it holds no keys")
	}
	if err != nil {
		return t, fail.New(fail.Verification, fmt.Sprintf("extensions are off: read /%s: %v", extension.KeysFile, err), "")
	}
	return t, nil
}

// unseal checks the signature of a downloaded archive before anything parses it, and removes it: only signed
// bytes are unpacked. highest is the highest sequence number so far. An image without keys accepts every archive
// unchanged.
func unseal(f *os.File, g *generation, root facts.Root, highest int64) error {
	t, err := trustOf(root)
	if t == nil || err != nil {
		return err
	}
	seal, bare, err := extension.Verify(f, g.Size, t.Keys)
	if err != nil {
		return err
	}
	older := func(floor int64, whose string) error {
		return &extension.Error{Kind: extension.Signature, Reason: fmt.Sprintf("it is older than %s: its sequence number is %d, below %d", whose, seal.Sequence, floor)}
	}
	switch {
	case seal.Sequence < t.Floor:
		return older(t.Floor, "the image")
	case seal.Sequence < highest:
		return older(highest, "the newest one so far")
	}
	if err := errors.Join(f.Truncate(bare), zeroEnd(f, bare)); err != nil {
		return fmt.Errorf("store extension: %w", err)
	}
	g.Sequence, g.bare = seal.Sequence, bare
	return nil
}

// zeroEnd makes the archive's comment empty, as it was signed.
func zeroEnd(f *os.File, size int64) error {
	_, err := f.WriteAt([]byte{0, 0}, size-2)
	return err
}
