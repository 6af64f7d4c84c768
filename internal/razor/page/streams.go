package page

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// maxStreams bounds the open streams. For another one, the client with the most loses its oldest: its page
	// connects again.
	maxStreams = 100
	// eventPause joins changes, so that 2,000 nodes do not redraw a page 133 times a second.
	eventPause = 250 * time.Millisecond
	// heartbeat keeps proxies from closing a silent stream.
	heartbeat = 20 * time.Second
)

// streams notify open pages of changes.
type streams struct {
	mu   sync.Mutex
	open []*stream // oldest first
}

type stream struct {
	client string        // the client's address
	node   uint64        // the node that it shows; 0 means all
	wake   chan struct{} // has a value while a change is pending
	ended  chan struct{}
}

// publish announces a change of a node.
func (s *streams) publish(node uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.open {
		if st.node != 0 && node != st.node {
			continue
		}
		select {
		case st.wake <- struct{}{}:
		default: // already pending
		}
	}
}

// add opens a stream, and may end another one.
func (s *streams) add(client string, node uint64) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) >= maxStreams {
		i := s.dispensable()
		close(s.open[i].ended)
		s.open = slices.Delete(s.open, i, i+1)
	}
	st := &stream{client: client, node: node, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	s.open = append(s.open, st)
	return st
}

// dispensable finds the oldest stream of the client that has the most.
func (s *streams) dispensable() int {
	count := map[string]int{}
	most := 0
	for _, st := range s.open {
		count[st.client]++
		most = max(most, count[st.client])
	}
	return slices.IndexFunc(s.open, func(st *stream) bool { return count[st.client] == most })
}

func (s *streams) remove(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = slices.DeleteFunc(s.open, func(o *stream) bool { return o == st })
}

// ServeHTTP answers GET /events?node=NUMBER with Server-Sent Events: "hello", then a "change" for
// each time that the node, or with 0 any node, has changed.
func (s *streams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	client, _, _ := net.SplitHostPort(r.RemoteAddr)
	node, _ := strconv.ParseUint(r.URL.Query().Get("node"), 10, 64)
	st := s.add(client, node)
	defer s.remove(st)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // the stream outlives the server's read timeout
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	next := "retry: 2000\n\nevent: hello\ndata:\n\n"
	for {
		if _, err := fmt.Fprint(w, next); err != nil || out.Flush() != nil {
			return
		}
		time.Sleep(eventPause)
		select {
		case <-r.Context().Done():
			return
		case <-st.ended:
			return
		case <-beat.C:
			next = ": still here\n\n"
		case <-st.wake:
			next = "event: change\ndata:\n\n"
		}
	}
}
