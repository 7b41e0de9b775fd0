package server

import (
	"math"
	"time"
)

// The clock wakes pumped connections whose time is over. Giving each a deadline of
// its own would cost more than anything else that a small request needs; a number
// in each, looked at when the first of them can be due, costs next to nothing.

// resolution is how late a timeout of a pumped connection may come.
const resolution = 10 * time.Millisecond

// wind starts the clock unless it runs. s.mu is held.
func (s *Server) wind() {
	switch {
	case s.ticking:
		return
	case s.clock == nil:
		s.clock = time.AfterFunc(s.shortest, func() { s.tick(time.Now()) })
	default:
		s.clock.Reset(s.shortest)
	}
	s.ticking = true
}

// tick wakes the connections that are due at now, and sets the clock to when the
// next one can be: none that begins to wait from now on is due before the shortest
// timeout. It stops when there is no connection.
func (s *Server) tick(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ticking = len(s.conns) > 0; !s.ticking {
		return
	}
	first := int64(math.MaxInt64)
	for c := range s.conns {
		due := c.due.Load()
		switch {
		case due == 0:
		case due > now.UnixNano():
			first = min(first, due)
		case c.due.CompareAndSwap(due, 0):
			c.pumper.Wake()
		}
	}
	s.clock.Reset(max(min(s.shortest, time.Duration(first-now.UnixNano())), resolution))
}

// shortestWait returns the shortest time that a connection of this listener may be
// given to send something.
func (l Limits) shortestWait() time.Duration {
	wait := overTimeout
	for _, d := range []time.Duration{l.FirstByteTimeout, l.HeadTimeout, l.IdleTimeout} {
		if d > 0 {
			wait = min(wait, d)
		}
	}
	return wait
}
