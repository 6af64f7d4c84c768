package razor

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	// maxBody bounds a check-in, in bytes. Real ones have 2 to 60 kB.
	maxBody = 4 << 20
	// smallBody is the size up to which check-ins are not limited in number, in bytes.
	smallBody = 128 << 10
	// maxBig is the number of larger check-ins at a time. The others wait, unread.
	maxBig = 2
	// maxMessage bounds a stored text from a query string, in bytes.
	maxMessage = 8 << 10
	// bigTime is the time limit for reading a big check-in: others wait meanwhile.
	bigTime = 5 * time.Second
)

// svc answers nodes: everything below /svc and the bootstrap script. All of it is open to
// everybody, as with Razor.
type svc struct {
	nodes *nodes
	opts  *Options
	files map[string]http.Handler // by lower-case path below /svc/repo
	big   chan struct{}           // has a value for each big check-in being read
}

func (s *svc) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /svc/checkin/{id}", s.checkIn)
	mux.HandleFunc("GET /svc/nodeid", s.nodeID)
	mux.HandleFunc("GET /svc/boot", s.boot)
	mux.HandleFunc("GET /svc/repo/{path...}", s.repo)
	mux.HandleFunc("GET /svc/log/{id}", s.note)
	mux.HandleFunc("GET /svc/store_metadata/{id}", s.storeMetadata)
	mux.HandleFunc("GET /api/microkernel/bootstrap", s.bootstrap)
}

// refuse answers as Razor does to an error.
func (s *svc) refuse(w http.ResponseWriter, r *http.Request, err error) {
	s.opts.Log.Warn("request refused", "path", r.URL.Path, "error", err)
	refusal, ok := errors.AsType[*refusal](err)
	switch {
	case ok && len(refusal.doubles) > 0:
		answer(w, refusal.status, nil)
	case ok:
		failure(w, refusal.status, refusal.text)
	case errors.Is(err, ErrNoNode):
		answer(w, http.StatusNotFound, nil)
	default:
		failure(w, http.StatusInternalServerError, "the server failed: see its log")
	}
}

// number reads the :id of a path. Razor's database refuses anything but a number, which becomes a 400.
func number(r *http.Request) (uint64, error) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 63)
	if err != nil {
		return 0, refused("invalid node number")
	}
	return id, nil
}

// checkIn is POST /svc/checkin/:id.
func (s *svc) checkIn(w http.ResponseWriter, r *http.Request) {
	// Razor compares the whole header: it refuses a check-in with a charset.
	if media := r.Header.Get("Content-Type"); media != "application/json" {
		s.opts.Log.Warn("check-in refused: the media type must be exactly application/json", "content_type", clip(media, 100))
		answer(w, http.StatusBadRequest, nil)
		return
	}
	if r.ContentLength < 0 || r.ContentLength > smallBody {
		s.big <- struct{}{}
		defer func() { <-s.big }()
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bigTime))
	}
	p, err := s.read(w, r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	n, err := s.nodes.checkIn(p)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if s.opts.CheckedIn != nil {
		var facts map[string]any
		_ = json.Unmarshal(p.sent, &facts)
		s.opts.CheckedIn(n.Name, facts)
	}
	answer(w, http.StatusOK, map[string]string{"action": n.Last.Action})
}

// read reads and judges a check-in.
func (s *svc) read(w http.ResponseWriter, r *http.Request) (*posted, error) {
	tooBig := &refusal{status: http.StatusRequestEntityTooLarge, text: "the body is too big"}
	if r.ContentLength > maxBody {
		return nil, tooBig
	}
	body := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead))
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, tooBig
		}
		return nil, refused("read the body: %v", err)
	}
	p := &posted{userAgent: clip(r.UserAgent(), 200)}
	err := p.readFacts(body.Bytes(), &s.opts.Config)
	if err == nil {
		p.node, err = number(r)
	}
	return p, err
}

// note is GET /svc/log/:id?msg=…&severity=….
func (s *svc) note(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	severity, msg := q.Get("severity"), clip(q.Get("msg"), maxMessage)
	s.noContent(w, r, func(id uint64) error {
		if !slices.Contains([]string{"", "info", "warn", "error"}, severity) {
			return refused("severity must be info, warn or error")
		}
		s.opts.Log.Info("node says", "node", id, "severity", severity, "msg", clip(msg, 500))
		return s.nodes.note(id, severity, msg)
	})
}

// storeMetadata is GET /svc/store_metadata/:id?key=value&remove[]=key.
func (s *svc) storeMetadata(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	set := map[string]string{}
	for k, v := range q {
		if k != "remove[]" {
			set[k] = clip(v[len(v)-1], maxMessage)
		}
	}
	s.noContent(w, r, func(id uint64) error {
		if q.Has("remove") {
			return refused("remove must be an array: write remove[]=key")
		}
		return s.nodes.storeMetadata(id, set, q["remove[]"])
	})
}

// noContent runs a change of the node in the path and answers 204.
func (s *svc) noContent(w http.ResponseWriter, r *http.Request, change func(id uint64) error) {
	id, err := number(r)
	if err == nil {
		err = change(id)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
