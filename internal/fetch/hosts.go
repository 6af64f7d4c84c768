package fetch

import (
	"errors"
	"net"
	"sync"
)

// hosts remembers, for one Client, which hosts are no good, so that they delay a build once and not
// for each of its files.
type hosts struct {
	mu   sync.Mutex
	host map[string]hostState
}

// hostState is what came of a host's failures.
type hostState struct {
	// down is set for a host that no connection could be made to.
	down error
	// last says that others shall be asked before it.
	last bool
}

func (h *hosts) get(s source) hostState {
	if s.local() {
		return hostState{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.host[hostKey(s)]
}

// note remembers that a host was given up.
func (h *hosts) note(s source, err error) {
	state := h.get(s)
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		state.down = err
	}
	h.set(s, state)
}

// postpone remembers a host in trouble: others are asked before it from now on.
func (h *hosts) postpone(s source) {
	state := h.get(s)
	state.last = true
	h.set(s, state)
}

func (h *hosts) set(s source, state hostState) {
	if state == (hostState{}) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.host == nil {
		h.host = map[string]hostState{}
	}
	h.host[hostKey(s)] = state
}

// troubled reports whether an error is the host's, rather than one of the file or of ours.
func troubled(err error) bool {
	if st, ok := errors.AsType[*statusError](err); ok {
		return !lasting(st)
	}
	return !lasting(err) && !errors.Is(err, ErrOffline) && !errors.Is(err, ErrInsecure) && !isA[*ChecksumError](err) && !isA[*ContentError](err)
}

// hostKey tells a host's http from its https.
func hostKey(s source) string { return s.u.Scheme + "://" + s.u.Host }

// order returns the indices of the sources in the order in which to ask: hosts in trouble last.
func (j *job) order() []int {
	var first, last []int
	for i, s := range j.sources {
		if j.hosts.get(s).last {
			last = append(last, i)
		} else {
			first = append(first, i)
		}
	}
	return append(first, last...)
}
