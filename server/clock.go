package server

import (
	"sync/atomic"
	"time"
)

// The clock wakes pumped connections whose time is over, and tells them roughly how
// late it is. Giving each a deadline of its own, or asking the system for the time,
// would cost more than most else that a small request needs; a number in each,
// looked at when the first of them can be due, costs next to nothing. It ticks
// while requests come, and sleeps until somebody is due when none do.
type clock struct {
	timer    *time.Timer // nil until the first connection; guarded by Server.mu, as all but coarse is
	ticking  bool
	shortest time.Duration // that a connection may wait
	look     time.Time     // when to look at the connections next
	seen     uint64        // requests, at the last tick

	coarse atomic.Int64 // the server's age, a tick old at most; 0 while it sleeps
}

// tickTime is how old the coarse time may be, and how late a timeout of a pumped
// connection may come. Looking at all connections more often, because one of many is
// always due soon, cost more than what they asked for.
const tickTime = 100 * time.Millisecond

// age is a time, as what has passed since the server was made: less to copy and to
// compare than a time.Time. Zero means never.
type age = time.Duration

func (s *Server) age() age { return time.Since(s.born) }

// at returns the time at which the server has an age; the zero time for never.
func (s *Server) at(t age) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return s.born.Add(t)
}

// after returns the age d later than now, or never if d is negative.
func after(now age, d time.Duration) age {
	if d < 0 {
		return 0
	}
	return now + d
}

// clockTime returns the server's age, or for pumped connections roughly that.
func (c *conn) clockTime() age {
	if c.pumper == nil || c.srv.timed {
		return c.srv.age()
	}
	if t := c.srv.clock.coarse.Load(); t != 0 {
		return age(t)
	}
	return c.srv.rouse()
}

// rouse makes the clock tick again.
func (s *Server) rouse() age {
	now := s.age()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clock.timer != nil {
		s.clock.coarse.Store(int64(now))
		s.clock.timer.Reset(s.clock.period())
	}
	return now
}

// period is the time between ticks: short enough for the shortest timeout.
func (k *clock) period() time.Duration {
	return max(min(tickTime, k.shortest/8), time.Millisecond)
}

// wind starts the clock unless it runs. s.mu is held.
func (s *Server) wind() {
	k := &s.clock
	switch {
	case k.ticking:
		return
	case k.timer == nil:
		k.timer = time.AfterFunc(k.period(), func() { s.tick(time.Now()) })
	default:
		k.timer.Reset(k.period())
	}
	k.ticking = true
	k.look = time.Time{}
}

// hurry makes the clock look as often as a new shortest timeout needs. s.mu is held.
func (s *Server) hurry(shortest time.Duration) {
	k := &s.clock
	k.shortest = shortest
	if k.ticking { // it may have gone to sleep for longer than that
		k.look = time.Time{}
		k.timer.Reset(k.period())
	}
}

// tick wakes the connections that are due at now, and sets the clock to its next
// tick. It stops when there is no connection.
func (s *Server) tick(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &s.clock
	if k.ticking = len(s.conns) > 0; !k.ticking {
		k.coarse.Store(0)
		s.workers.dismiss(false)
		return
	}
	if !now.Before(k.look) {
		k.look = s.wakeDue(now)
	}
	seen := s.requests.Load()
	if seen == k.seen {
		k.coarse.Store(0)
		s.workers.dismiss(false)
		k.timer.Reset(k.look.Sub(now))
		return
	}
	k.seen = seen
	k.coarse.Store(int64(now.Sub(s.born)))
	k.timer.Reset(k.period())
}

// wakeDue wakes the connections that are due at now. It returns when to look again:
// none that begins to wait from now on is due before the shortest timeout. s.mu is
// held.
func (s *Server) wakeDue(now time.Time) (look time.Time) {
	age := int64(now.Sub(s.born))
	next := age + int64(s.clock.shortest)
	for c := range s.conns {
		due := c.due.Load()
		switch {
		case due == 0:
		case due > age:
			next = min(next, due)
		case c.due.CompareAndSwap(due, 0):
			c.pumper.Wake()
		}
	}
	return now.Add(max(time.Duration(next-age), s.clock.period()))
}

// alarm is what the clock wakes a connection for.
type alarm uint8

const (
	alarmOff alarm = iota
	alarmNap       // it has been idle for napTime: see nap
	alarmEnd       // its time is over
)

// napTime is how long a connection is idle before it is given a small stack.
const napTime = time.Second

// expect has the clock wake a pumped connection at t.
func (c *conn) expect(t age, what alarm) {
	if c.pumper == nil {
		return
	}
	if t == 0 {
		what = alarmOff
	}
	c.alarm = what
	c.due.Store(int64(t))
}

// shortestWait returns the shortest time that a connection of this listener may be
// given to send something.
func (l Limits) shortestWait() time.Duration {
	wait := min(overTimeout, napTime)
	for _, d := range []time.Duration{l.FirstByteTimeout, l.HeadTimeout, l.IdleTimeout} {
		if d > 0 {
			wait = min(wait, d)
		}
	}
	return wait
}
