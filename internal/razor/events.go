package razor

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// maxStreams bounds the open event streams: pages that are being looked at.
	maxStreams = 100
	// eventPause gathers changes, so that 2,000 nodes do not make a page redraw 133 times a second.
	eventPause = 250 * time.Millisecond
	// heartbeat keeps proxies from closing a silent stream.
	heartbeat = 20 * time.Second
)

// hub tells event streams which nodes changed. A slow reader loses nothing: changes gather
// until it takes them.
type hub struct {
	mu   sync.Mutex
	subs map[*subscriber]bool
}

type subscriber struct {
	mu      sync.Mutex
	pending map[uint64]bool
	wake    chan struct{}
}

func newHub() *hub { return &hub{subs: map[*subscriber]bool{}} }

// publish announces a change of a node; 0 stands for everything.
func (h *hub) publish(id uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		s.mu.Lock()
		s.pending[id] = true
		s.mu.Unlock()
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// subscribe returns nil when there are too many already.
func (h *hub) subscribe() *subscriber {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.subs) >= maxStreams {
		return nil
	}
	s := &subscriber{pending: map[uint64]bool{}, wake: make(chan struct{}, 1)}
	h.subs[s] = true
	return s
}

func (h *hub) unsubscribe(s *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, s)
}

// take returns the changed nodes, sorted, and forgets them.
func (s *subscriber) take() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]uint64, 0, len(s.pending))
	for id := range s.pending {
		out = append(out, id)
	}
	clear(s.pending)
	slices.Sort(out)
	return out
}

// handleEvents is GET /events: Server-Sent Events named "change" whose data are the numbers of
// the nodes that changed, 0 meaning rules or faults.
func (s *Server) handleEvents(w http.ResponseWriter, r *http.Request) {
	sub := s.hub.subscribe()
	if sub == nil {
		http.Error(w, "too many open pages", http.StatusServiceUnavailable)
		return
	}
	defer s.hub.unsubscribe(sub)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // the stream outlives the server's read timeout
	if _, err := fmt.Fprint(w, "retry: 2000\n\nevent: hello\ndata: 0\n\n"); err != nil || out.Flush() != nil {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-r.Context().Done():
			return
		case <-s.done.Done():
			return
		case <-beat.C:
			_, err = fmt.Fprint(w, ": still here\n\n")
		case <-sub.wake:
			_, err = fmt.Fprintf(w, "event: change\ndata: %s\n\n", joinIDs(sub.take()))
		}
		if err != nil || out.Flush() != nil || !s.pause(r, eventPause) {
			return
		}
	}
}

// pause waits; false means that the stream is over.
func (s *Server) pause(r *http.Request, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-r.Context().Done():
	case <-s.done.Done():
	}
	return false
}

func joinIDs(ids []uint64) string {
	b := make([]byte, 0, 8*len(ids))
	for i, id := range ids {
		if i > 0 {
			b = append(b, ' ')
		}
		b = fmt.Append(b, id)
	}
	return string(b)
}
