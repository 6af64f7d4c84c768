package razor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// errNoExtension says that there is nothing to hand out: not configured, not readable, or not
// a regular file. Razor does not tell these apart.
var errNoExtension = errors.New("No extension file configured") //nolint:staticcheck // Razor's wording, part of the protocol

// extensionFile is one version of the extension, open for one request.
type extensionFile struct {
	io.ReadSeeker
	size  int64
	mtime time.Time
	close func() error
}

// openExtension opens the configured file anew for each request: changing the file needs no
// restart, as with Razor.
func (s *Server) openExtension() (*extensionFile, error) {
	path := s.config.ExtensionZip
	if path == "" {
		return nil, errNoExtension
	}
	st, err := os.Stat(path)
	if err == nil && st.IsDir() && s.opts.PackDir != nil {
		return s.packExtension(path)
	}
	if err != nil || !st.Mode().IsRegular() { // opening a FIFO would wait for ever
		return nil, errNoExtension
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, errNoExtension
	}
	if st, err = f.Stat(); err != nil || st.Mode()&fs.ModeType != 0 {
		return nil, errors.Join(errNoExtension, f.Close())
	}
	return &extensionFile{f, st.Size(), st.ModTime(), f.Close}, nil
}

// packExtension zips a directory on the fly, a convenience that Razor does not have.
func (s *Server) packExtension(dir string) (*extensionFile, error) {
	b, mtime, err := s.opts.PackDir(dir)
	if err != nil {
		s.log.Error("pack extension", "dir", dir, "error", err)
		return nil, errNoExtension
	}
	return &extensionFile{bytes.NewReader(b), int64(len(b)), mtime, func() error { return nil }}, nil
}

// handleExtension is GET and HEAD /svc/mk/extension.zip. Unless HTTPCorrect is set it has the
// quirks of Sinatra's send_file called with a fixed status 200: an If-Modified-Since that
// equals Last-Modified as a string gives an empty 200, a range gives a partial 200, and dates
// are never compared.
func (s *Server) handleExtension(w http.ResponseWriter, r *http.Request) {
	f, err := s.openExtension()
	if err != nil {
		s.failure(w, http.StatusNotFound, errNoExtension.Error())
		return
	}
	defer f.close() //nolint:errcheck // only read
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", `attachment; filename="extension.zip"`)
	if s.opts.HTTPCorrect {
		http.ServeContent(w, r, "", f.mtime, f)
		return
	}
	s.serveQuirky(w, r, f)
}

func (s *Server) serveQuirky(w http.ResponseWriter, r *http.Request, f *extensionFile) {
	h := w.Header()
	stamp := f.mtime.UTC().Format(http.TimeFormat)
	if r.Header.Get("If-Modified-Since") == stamp {
		h.Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
		return
	}
	h.Set("Last-Modified", stamp)
	from, length := int64(0), f.size
	switch start, end, kind := parseRange(r.Header.Get("Range"), f.size); kind {
	case rangeOne:
		from, length = start, end-start+1
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, end, f.size))
	case rangeNone:
		const msg = "Byte range unsatisfiable\n"
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", f.size))
		h.Set("Content-Length", strconv.Itoa(len(msg)))
		_, _ = io.WriteString(w, msg)
		return
	}
	h.Set("Content-Length", strconv.FormatInt(length, 10))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		panic(http.ErrAbortHandler) // the length has gone out: cut the connection
	}
	if _, err := io.CopyN(w, f, length); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// Kinds of a Range header, as Rack judges them.
const (
	rangeWhole = iota // none, malformed, or several: the whole file
	rangeOne
	rangeNone // cannot be satisfied
)

var rangeSpec = regexp.MustCompile(`([0-9]*)-([0-9]*)`)

// parseRange reads a Range header as Rack 2.1 does; both ends are inclusive.
func parseRange(header string, size int64) (start, end int64, kind int) {
	_, spec, ok := strings.Cut(header, "bytes=")
	spec, _, _ = strings.Cut(spec, ";")
	m := rangeSpec.FindStringSubmatch(spec)
	if !ok || m == nil || strings.Contains(spec, ",") || m[1] == "" && m[2] == "" {
		return 0, 0, rangeWhole
	}
	first, err1 := parseOffset(m[1], 0)
	lastByte, err2 := parseOffset(m[2], size-1)
	if err1 != nil || err2 != nil {
		return 0, 0, rangeWhole
	}
	if m[1] == "" { // the last so many bytes
		first, lastByte = max(0, size-lastByte), size-1
	} else if lastByte < first && m[2] != "" {
		return 0, 0, rangeWhole
	}
	lastByte = min(lastByte, size-1)
	if first > lastByte {
		return 0, 0, rangeNone
	}
	return first, lastByte, rangeOne
}

func parseOffset(s string, missing int64) (int64, error) {
	if s == "" {
		return missing, nil
	}
	return strconv.ParseInt(s, 10, 64)
}
