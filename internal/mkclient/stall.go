package mkclient

import (
	"io"
	"sync/atomic"
	"time"
)

// stallGuard calls a function when it is not touched for a while.
type stallGuard struct {
	timer *time.Timer
	pause time.Duration
	hit   atomic.Bool
}

func (g *stallGuard) start(pause time.Duration, cancel func()) {
	g.pause = pause
	g.timer = time.AfterFunc(pause, func() {
		g.hit.Store(true)
		cancel()
	})
}

func (g *stallGuard) touch()      { g.timer.Reset(g.pause) }
func (g *stallGuard) stop()       { g.timer.Stop() }
func (g *stallGuard) fired() bool { return g.hit.Load() }

// guardedReader touches its guard whenever bytes arrive.
type guardedReader struct {
	r     io.Reader
	guard *stallGuard
}

// Read implements [io.Reader].
func (g *guardedReader) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	if n > 0 {
		g.guard.touch()
	}
	return n, err
}
