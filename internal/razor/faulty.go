package razor

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// captured is an answer held back, to be spoiled.
type captured struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (c *captured) Header() http.Header { return c.header }

// WriteHeader implements [http.ResponseWriter].
func (c *captured) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
}

// Write implements [http.ResponseWriter].
func (c *captured) Write(b []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	return c.body.Write(b)
}

// withFault puts the fault in force, if any, between a client and a handler.
func (s *Server) withFault(target string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, count, ok := s.faults.next(target)
		if !ok {
			next(w, r)
			return
		}
		s.log.Info("injecting fault", "fault", f.String(), "request", count)
		if s.replaced(w, r, f, count) {
			return
		}
		c := &captured{header: w.Header()}
		next(c, r)
		s.spoil(w, r, f, c)
	})
}

// replaced handles the faults that need no real answer.
func (s *Server) replaced(w http.ResponseWriter, r *http.Request, f Fault, count uint64) bool {
	switch f.Kind {
	case "404":
		s.failure(w, http.StatusNotFound, errNoExtension.Error())
	case "500":
		s.failure(w, http.StatusInternalServerError, "injected fault")
	case "hang":
		select {
		case <-r.Context().Done():
		case <-s.done.Done():
		}
		panic(http.ErrAbortHandler)
	case "redirect":
		hop, _ := strconv.ParseUint(r.URL.Query().Get("hop"), 10, 32)
		http.Redirect(w, r, r.URL.Path+"?hop="+strconv.FormatUint(hop+1, 10), http.StatusFound)
	case "oversize":
		s.oversize(w, f.Size)
	case "zipslip":
		s.canned(w, r, hostileZip(), s.start)
	case "flipflop":
		if count%2 == 1 {
			return false
		}
		s.canned(w, r, plainZip(), s.start.AddDate(-1, 0, 0))
	default:
		return false
	}
	return true
}

// canned hands out bytes as the extension.
func (s *Server) canned(w http.ResponseWriter, r *http.Request, b []byte, mtime time.Time) {
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Last-Modified", mtime.UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(b)
	}
}

// oversize streams zeros without holding them.
func (s *Server) oversize(w http.ResponseWriter, size int64) {
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Last-Modified", s.start.UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	chunk := make([]byte, 64<<10)
	for size > 0 {
		n := min(size, int64(len(chunk)))
		if _, err := w.Write(chunk[:n]); err != nil {
			return
		}
		size -= n
	}
}

// spoil sends a real answer in a wrong way.
func (s *Server) spoil(w http.ResponseWriter, r *http.Request, f Fault, c *captured) {
	body, h := c.body.Bytes(), w.Header()
	if c.status == 0 {
		c.status = http.StatusOK
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(c.status)
		return
	}
	send := len(body)
	switch f.Kind {
	case "empty":
		body, send, c.status = nil, 0, http.StatusOK
	case "garbage":
		body = garbage(max(len(body), 512))
		send, c.status = len(body), http.StatusOK
	case "mediatype":
		h.Set("Content-Type", "text/html; charset=utf-8")
	case "wronglength":
		body = body[:len(body)/2]
		send = len(body)
	case "truncate":
		send = len(body) / 2
		if f.Size >= 0 {
			send = int(min(f.Size, int64(len(body))))
		}
	case "skew":
		skew(h, f.Time)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(c.status)
	if f.Kind == "slow" {
		s.drip(w, r, body, f.Time)
		return
	}
	_, _ = w.Write(body[:send])
	if send < len(body) {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// skew moves the Last-Modified that was going to be sent.
func skew(h http.Header, by time.Duration) {
	if t, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		h.Set("Last-Modified", t.Add(by).UTC().Format(http.TimeFormat))
	}
}

// drip sends the body in sixteen parts over the given time.
func (s *Server) drip(w http.ResponseWriter, r *http.Request, body []byte, over time.Duration) {
	const parts = 16
	for i := range parts {
		from, to := len(body)*i/parts, len(body)*(i+1)/parts
		select {
		case <-time.After(over / parts):
		case <-r.Context().Done():
			return
		case <-s.done.Done():
			panic(http.ErrAbortHandler)
		}
		if _, err := w.Write(body[from:to]); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
	}
}

// garbage is noise that is the same every time.
func garbage(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}

type zipMember struct {
	name, content string
	mode          fs.FileMode
}

// hostileZip has members that an unpacker must not follow. Their content is harmless.
func hostileZip() []byte {
	return makeZip([]zipMember{
		{"facts.d/inside.txt", "mk_fault_zipslip=inside\n", 0o644},
		{"../mkbuild-zipslip-parent", "escaped\n", 0o644},
		{"../../../../../../tmp/mkbuild-zipslip", "escaped\n", 0o644},
		{"/tmp/mkbuild-zipslip-absolute", "escaped\n", 0o644},
		{`..\mkbuild-zipslip-backslash`, "escaped\n", 0o644},
		{"bin/link", "/tmp", fs.ModeSymlink | 0o777},
		{"bin/link/mkbuild-zipslip-link", "escaped\n", 0o644},
		{"bin/setuid", "#!/bin/sh\n", fs.ModeSetuid | 0o755},
	})
}

// plainZip is the other extension of flipflop.
func plainZip() []byte {
	return makeZip([]zipMember{{"facts.d/flipflop.txt", "mk_fault_flipflop=old\n", 0o644}})
}

func makeZip(members []zipMember) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Store}
		h.SetMode(m.mode)
		w, err := z.CreateHeader(h)
		if err == nil {
			_, _ = w.Write([]byte(m.content)) // a buffer does not fail
		}
	}
	_ = z.Close() // a buffer does not fail
	return b.Bytes()
}
