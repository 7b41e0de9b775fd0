package server

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// streamBody is a request's body over HTTP/2. It does what conn.fill does for those of
// HTTP/1: net/http has no limit on how slowly a body comes.
type streamBody struct {
	io.ReadCloser
	st *stream

	mu      sync.Mutex // one read at a time
	waited  time.Duration
	arrived int64
	failed  error
	timer   *time.Timer
}

// Read implements io.Reader.
func (b *streamBody) Read(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed != nil {
		return 0, b.failed
	}
	l := &b.st.c.lst.limits
	if l.BodyRate <= 0 || l.BodyWindow <= 0 || b.st.readOwn.Load() {
		n, err = b.ReadCloser.Read(p)
	} else {
		n, err = b.readAtRate(p, float64(l.BodyRate), l.BodyWindow)
	}
	if err != nil && err != io.EOF && b.st.tooLate() == ErrHandlerTimeout {
		err = errLate
		b.failed = err
	}
	return n, err
}

func (b *streamBody) readAtRate(p []byte, rate float64, window time.Duration) (n int, err error) {
	left := window - b.waited
	passed := float64(b.arrived) >= rate*window.Seconds() // whatever comes now: the next one begins empty
	if passed {
		left += window
	}
	if b.timer == nil {
		b.timer = time.AfterFunc(left, b.endRead)
	} else {
		b.timer.Reset(left)
	}
	start := time.Now()
	n, err = b.ReadCloser.Read(p)
	b.timer.Stop()
	if b.waited += time.Since(start); passed && b.waited >= window {
		b.waited, b.arrived = b.waited-window, 0
	}
	b.arrived += int64(n)
	switch {
	case b.waited < window || err == io.EOF || b.st.readOwn.Load():
	case float64(b.arrived) < rate*b.waited.Seconds():
		b.st.c.srv.counts.body.Add(1)
		err = &Error{Status: 408, Err: fmt.Errorf("%w: %d bytes in %v", ErrBodyTimeout, b.arrived, b.waited.Round(time.Millisecond))}
		b.failed = err
	default:
		b.waited, b.arrived = 0, 0
	}
	return n, err
}

// endRead makes reads fail, for good. A deadline that the exchange has set meanwhile
// stands instead.
func (b *streamBody) endRead() {
	if !b.st.readOwn.Load() {
		_ = b.st.setDeadline(b.st.w.SetReadDeadline, longAgo) // failing, nobody reads
	}
}
