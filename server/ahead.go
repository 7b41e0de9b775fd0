package server

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// aheadRead is a read that goes on while a handler runs, to find out whether the
// client has gone. The request's body has ended: nobody else reads.
type aheadRead struct {
	done chan struct{} // closed when the read has returned
	n    int

	stopped atomic.Bool
}

// lookAhead calls cancel once the client finishes sending or is gone, as net/http
// does when the body has ended. Where the transport does not tell, a goroutine
// reads, until stopAhead ends that. Then a pipelined request ends the watch, since
// it is not to be read before its turn.
func (d *driven) lookAhead(cancel context.CancelFunc) {
	c := d.c
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.watched {
		if !c.req.half {
			c.req.half = true
			c.watch(cancel, true)
		}
		return
	}
	if d.ahead != nil || d.noAhead || c.w == len(c.in) {
		return
	}
	if !c.readBy.IsZero() {
		_ = c.setReadDeadline(time.Time{}) // it was left from something else
	}
	a := &aheadRead{done: make(chan struct{})}
	d.ahead = a
	room := c.in[c.w:]
	go func() {
		defer close(a.done)
		var err error
		a.n, err = c.nc.Read(room)
		if err != nil && !(errors.Is(err, os.ErrDeadlineExceeded) && a.stopped.Load()) {
			cancel()
		}
	}()
}

// stopAhead ends the read, takes up what it has read, and lets no other begin.
func (d *driven) stopAhead() {
	c := d.c
	d.mu.Lock()
	a := d.ahead
	d.ahead, d.noAhead = nil, true
	d.mu.Unlock()
	if a == nil {
		return
	}
	select {
	case <-a.done:
	default:
		a.stopped.Store(true)
		_ = c.nc.SetReadDeadline(longAgo) // failing, the connection is closed
		<-a.done
		_ = c.setReadDeadline(time.Time{})
	}
	c.w += a.n
	c.received(a.n)
}
