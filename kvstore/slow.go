package kvstore

import "time"

// SlowInfo tells about a procedure that runs and runs.
type SlowInfo struct {
	Running time.Duration // so far, about Options.SlowAfter
	Queued  int           // calls that wait behind it
}

// slowWatch tells Options.OnSlow about slow procedures, while they run: one that
// waits for something that never comes would otherwise show only by its silence.
type slowWatch struct {
	timer *time.Timer // nil: nobody wants to know
	after time.Duration
}

func newSlowWatch(s *Store) slowWatch {
	after, tell := s.opt.SlowAfter, s.opt.OnSlow
	if tell == nil {
		return slowWatch{}
	}
	timer := time.AfterFunc(after, func() { tell(SlowInfo{Running: after, Queued: len(s.queue)}) })
	timer.Stop()
	return slowWatch{timer, after}
}

func (w *slowWatch) begin() {
	if w.timer != nil {
		w.timer.Reset(w.after)
	}
}

func (w *slowWatch) end() {
	if w.timer != nil {
		w.timer.Stop()
	}
}
