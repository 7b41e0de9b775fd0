package server

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// StreamLimits bound a Stream's content. In every field zero means the default.
type StreamLimits struct {
	ChunkSize int           // bytes collected into a chunk; default 4096
	MaxBytes  int64         // of content; default no limit
	MaxTime   time.Duration // from the stream's begin to its end; default no limit
	MaxIdle   time.Duration // between two writes; default no limit
}

// ErrStreamLimit is wrapped by the error of a stream past one of its StreamLimits.
var ErrStreamLimit = errors.New("server: stream past its limit")

// WithStreamLimits returns r with limits on its content, if that is a Stream. At a
// limit the stream is broken off: the client sees it truncated, the request's
// context ends, and every call of the StreamWriter fails with ErrStreamLimit.
func (r Response) WithStreamLimits(l StreamLimits) Response {
	r.Body.limits = &l
	return r
}

// streamGuard watches a stream's time. Its timers' functions run on goroutines of
// their own, and not after stop. A nil guard watches nothing.
type streamGuard struct {
	limits StreamLimits
	cut    func()

	mu    sync.Mutex
	total *time.Timer
	idle  *time.Timer
	over  bool
	err   error
}

// newGuard starts the clock. cut is called when time is up; it must not block.
func newGuard(l *StreamLimits, cut func()) *streamGuard {
	if l == nil || l.MaxTime <= 0 && l.MaxIdle <= 0 {
		return nil
	}
	g := &streamGuard{limits: *l, cut: cut}
	g.mu.Lock() // for timers that fire at once
	defer g.mu.Unlock()
	if l.MaxTime > 0 {
		g.total = time.AfterFunc(l.MaxTime, func() { g.expire("longer than", l.MaxTime) })
	}
	if l.MaxIdle > 0 {
		g.idle = time.AfterFunc(l.MaxIdle, func() { g.expire("idle for", l.MaxIdle) })
	}
	return g
}

func (g *streamGuard) expire(what string, d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.over && g.err == nil {
		g.err = fmt.Errorf("%w: %s %v", ErrStreamLimit, what, d)
		g.cut()
	}
}

// alive notes that something is written, and returns the error if it is too late.
func (g *streamGuard) alive() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil && g.idle != nil {
		g.idle.Reset(g.limits.MaxIdle)
	}
	return g.err
}

// stop ends the watch and returns the error if it is too late.
func (g *streamGuard) stop() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	if g.total != nil {
		g.total.Stop()
	}
	if g.idle != nil {
		g.idle.Stop()
	}
	return g.err
}

// cut ends a response whose time is up: its producer learns it from the context and
// from its next write, and its client at once, though a producer that looks at
// neither may go on for long. The end alone must show that the rest is missing:
// counted says so. Any goroutine may call it.
func (c *conn) cut(counted bool) {
	c.gone(true)
	c.writeOwn.Store(&longAgo)
	_ = c.nc.SetWriteDeadline(longAgo) // failing, the connection is closed
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && counted {
		_ = half.CloseWrite() // failing, the client is gone
	}
}
