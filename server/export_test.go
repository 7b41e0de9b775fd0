package server

import (
	"time"

	"postern/transport"
)

// WakeDue wakes the pumped connections that are due at now, as a tick does that finds
// it time to look. The clock itself is not moved: it cannot be told another time than
// its timer's. TestClock has that.
func (s *Server) WakeDue(now time.Time) {
	s.mu.Lock()
	s.wakeDue(now)
	s.mu.Unlock()
}

// Due returns when the clock wakes each pumped connection; the zero time is never.
func (s *Server) Due() (due []time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		var t time.Time
		if d := c.due.Load(); d != 0 {
			t = s.born.Add(time.Duration(d))
		}
		due = append(due, t)
	}
	return due
}

// HoldsBuffer reports whether the engine's side of a connection has anything
// borrowed. It is for whoever drives it.
func HoldsBuffer(p transport.Pump) bool { return p.(*conn).work != nil }
