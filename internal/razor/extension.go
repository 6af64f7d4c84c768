package razor

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"regexp"
	"time"

	"mkbuild/internal/hostfile"
)

// extension serves the runtime extension.
type extension struct{ opts *Options }

// open opens the configured file for each request: a change needs no restart, as with Razor. It packs a folder on
// the fly, which Razor does not.
func (e *extension) open() (io.ReadSeekCloser, time.Time, error) {
	path := e.opts.Config.Microkernel.ExtensionZip
	if st, err := os.Stat(path); err == nil && st.IsDir() && e.opts.PackDir != nil {
		b, mtime, err := e.opts.PackDir(path)
		return packed{bytes.NewReader(b)}, mtime, err
	}
	f, st, err := hostfile.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	return f, st.ModTime(), nil
}

// packed is a zip file in memory.
type packed struct{ *bytes.Reader }

// Close implements [io.Closer].
func (packed) Close() error { return nil }

// ServeHTTP answers GET and HEAD /svc/mk/extension.zip.
func (e *extension) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, mtime, err := e.open()
	if err != nil { // Razor does not distinguish the reasons
		e.opts.Log.Debug("no extension", "error", err)
		failure(w, http.StatusNotFound, "No extension file configured")
		return
	}
	defer f.Close() //nolint:errcheck // only read
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", `attachment; filename="extension.zip"`)
	if e.opts.HTTPCorrect {
		http.ServeContent(w, r, "", mtime, f)
		return
	}
	serveQuirky(w, r, mtime, f)
}

// oneRange is a Range header that Rack heeds.
var oneRange = regexp.MustCompile(`\Abytes=(?:[0-9]+-[0-9]*|-[0-9]+)\z`)

// serveQuirky has the quirks of Sinatra's send_file called with a fixed status 200: an
// If-Modified-Since that equals Last-Modified as a string gives an empty 200, dates are never
// compared, and a range gives a part of the file as 200.
func serveQuirky(w http.ResponseWriter, r *http.Request, mtime time.Time, f io.ReadSeeker) {
	if r.Header.Get("If-Modified-Since") == mtime.UTC().Format(http.TimeFormat) {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
		return
	}
	plain := r.Clone(r.Context())
	plain.Header = http.Header{}
	if rng := r.Header.Get("Range"); oneRange.MatchString(rng) {
		plain.Header.Set("Range", rng)
	}
	http.ServeContent(alwaysOK{w}, plain, "", mtime, f)
}

// alwaysOK answers 200, whatever the handler's status.
type alwaysOK struct{ http.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (w alwaysOK) WriteHeader(int) {
	w.Header().Del("Accept-Ranges")
	w.ResponseWriter.WriteHeader(http.StatusOK)
}
