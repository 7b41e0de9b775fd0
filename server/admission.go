package server

import (
	"container/list"
	"errors"
	"sync"
	"time"
)

// gate lets as many handlers run at a time as it has slots. Who comes when all are
// taken waits, in order.
type gate struct {
	mu    sync.Mutex
	free  int       // slots; 0 while anybody waits
	turns list.List // of chan struct{}, which is closed when it has got a slot
}

// newGate returns a gate with n slots, or nil if n is not positive.
func newGate(n int) *gate {
	if n <= 0 {
		return nil
	}
	return &gate{free: n}
}

// take takes a slot, or returns a turn to wait for. It fails if so many wait
// already.
func (g *gate) take(maxQueued int) (turn *list.Element, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.free > 0:
		g.free--
		return nil, nil
	case g.turns.Len() >= maxQueued:
		return nil, errQueueFull
	}
	return g.turns.PushBack(make(chan struct{})), nil
}

// give gives a slot back: to who has waited longest.
func (g *gate) give() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if first := g.turns.Front(); first != nil {
		close(g.turns.Remove(first).(chan struct{}))
		return
	}
	g.free++
}

// withdraw ends the waiting for a turn. It reports whether that had not come.
func (g *gate) withdraw(turn *list.Element) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-turn.Value.(chan struct{}):
		return false
	default:
		g.turns.Remove(turn)
		return true
	}
}

// Why a request did not come to its handler; all but errGone answer 503.
var (
	errQueueFull    = errors.New("server: too many requests are waiting")
	errQueueTimeout = errors.New("server: the request has waited too long")
	errGone         = errors.New("server: the client is gone, or the server closed")
)

// admit takes a slot for a request, if its listener limits them, and waits for one
// if it may. It counts what is in flight if anybody wants to know.
func (c *conn) admit() error {
	g := c.lst.gate
	if g == nil && c.tally == nil {
		return nil
	}
	if g != nil {
		turn, err := g.take(c.lst.limits.MaxQueued)
		if err != nil {
			c.srv.counts.turnAway(err)
			return err
		}
		if turn != nil {
			if err := c.queue(g, turn); err != nil {
				return err
			}
		}
	}
	c.slot, c.running = g, true
	c.srv.inFlight.Add(1)
	return nil
}

// queue waits for a turn. What was answered before is written first.
func (c *conn) queue(g *gate, turn *list.Element) error {
	gone := make(chan struct{})
	c.watch(sync.OnceFunc(func() { close(gone) }), c.srv.cfg.CancelOnHalfClose)
	defer c.hangup.Store(nil)
	if c.flush() != nil {
		close(gone)
	}
	return c.await(g, turn, gone)
}

// await waits for a turn until the client is gone or the time for that is over.
func (c *conn) await(g *gate, turn *list.Element, gone <-chan struct{}) (err error) {
	c.srv.queued.Add(1)
	defer c.srv.queued.Add(-1)
	if c.tally != nil {
		began := time.Now()
		defer func() { c.srv.counts.waits.add(time.Since(began)) }()
	}
	var timeout <-chan time.Time
	if d := c.lst.limits.QueueTimeout; d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timeout = t.C
	}
	select {
	case <-turn.Value.(chan struct{}):
		return nil
	case <-timeout:
		err = errQueueTimeout
	case <-gone:
		err = errGone
	case <-c.srv.base.Done():
		err = errGone
	}
	if !g.withdraw(turn) {
		return nil // the handler will find out who is gone
	}
	c.srv.counts.turnAway(err)
	return err
}

// admitStream is admit for a stream of HTTP/2. leave gives the slot back.
func (c *conn) admitStream(gone <-chan struct{}) (leave func(), err error) {
	g := c.lst.gate
	if g != nil {
		turn, err := g.take(c.lst.limits.MaxQueued)
		if err != nil {
			c.srv.counts.turnAway(err)
			return nil, err
		}
		if turn != nil {
			if err := c.await(g, turn, gone); err != nil {
				return nil, err
			}
		}
	}
	c.srv.inFlight.Add(1)
	return func() {
		c.srv.inFlight.Add(-1)
		if g != nil {
			g.give()
		}
	}, nil
}

// turnAway answers a request that was not admitted. The connection goes on: a new
// one would cost more.
func (c *conn) turnAway(err error) (resp Response) {
	if err == errGone {
		c.failure = err
		c.fail(endNow)
		return resp
	}
	resp = c.render(503, err)
	resp.Close = false
	return resp
}

// vacate gives the slot back, if there is one.
func (c *conn) vacate() {
	if !c.running {
		return
	}
	c.srv.inFlight.Add(-1)
	if c.slot != nil {
		c.slot.give()
	}
	c.slot, c.running = nil, false
}
