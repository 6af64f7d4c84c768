package razor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"time"
)

// errNoExtension is returned when there is nothing to hand out: not configured, not readable, or
// not a regular file. Razor does not tell these apart.
var errNoExtension = errors.New("No extension file configured") //nolint:staticcheck // Razor's wording, part of the protocol

// extension hands out the runtime extension.
type extension struct {
	path    string // of a zip file or a folder, or ""
	pack    func(dir string) (zip []byte, modTime time.Time, err error)
	correct bool // answers as RFC 9110 has it, not as Razor does
	log     *slog.Logger
}

// extensionFile is one version of the extension, open for one request.
type extensionFile struct {
	io.ReadSeeker
	size  int64
	mtime time.Time
	close func() error
}

// open opens the configured file anew for each request: changing the file needs no restart, as with
// Razor. A folder is packed on the fly, a convenience that Razor does not have.
func (e *extension) open() (*extensionFile, error) {
	st, err := os.Stat(e.path)
	if err == nil && st.IsDir() && e.pack != nil {
		b, mtime, err := e.pack(e.path)
		if err != nil {
			e.log.Error("pack extension", "dir", e.path, "error", err)
			return nil, errNoExtension
		}
		return &extensionFile{bytes.NewReader(b), int64(len(b)), mtime, func() error { return nil }}, nil
	}
	if err != nil || !st.Mode().IsRegular() { // opening a FIFO would wait forever
		return nil, errNoExtension
	}
	f, err := os.Open(e.path)
	if err != nil {
		return nil, errNoExtension
	}
	if st, err = f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(errNoExtension, f.Close())
	}
	return &extensionFile{f, st.Size(), st.ModTime(), f.Close}, nil
}

// String describes the extension for people; "" if none is configured.
func (e *extension) String() string {
	if e.path == "" {
		return ""
	}
	f, err := e.open()
	if err != nil {
		return e.path + " is not readable: nodes get 404"
	}
	defer f.close() //nolint:errcheck // only read
	return fmt.Sprintf("%s, %d bytes, %s", e.path, f.size, f.mtime.UTC().Format("2006-01-02 15:04:05 UTC"))
}

// ServeHTTP answers GET and HEAD /svc/mk/extension.zip.
func (e *extension) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, err := e.open()
	if err != nil {
		failure(w, http.StatusNotFound, errNoExtension.Error())
		return
	}
	defer f.close() //nolint:errcheck // only read
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", `attachment; filename="extension.zip"`)
	if e.correct {
		http.ServeContent(w, r, "", f.mtime, f)
		return
	}
	serveQuirky(w, r, f)
}

// oneRange is a Range header that Rack heeds.
var oneRange = regexp.MustCompile(`\Abytes=(?:[0-9]+-[0-9]*|-[0-9]+)\z`)

// serveQuirky has the quirks of Sinatra's send_file called with a fixed status 200: an
// If-Modified-Since that equals Last-Modified as a string gives an empty 200, dates are never
// compared, and a range gives a part of the file as 200.
func serveQuirky(w http.ResponseWriter, r *http.Request, f *extensionFile) {
	if r.Header.Get("If-Modified-Since") == f.mtime.UTC().Format(http.TimeFormat) {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
		return
	}
	plain := r.Clone(r.Context())
	plain.Header = http.Header{}
	if rng := r.Header.Get("Range"); oneRange.MatchString(rng) {
		plain.Header.Set("Range", rng)
	}
	http.ServeContent(alwaysOK{w}, plain, "", f.mtime, f)
}

// alwaysOK answers 200 whatever the handler's status is.
type alwaysOK struct{ http.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (w alwaysOK) WriteHeader(int) {
	w.Header().Del("Accept-Ranges")
	w.ResponseWriter.WriteHeader(http.StatusOK)
}
