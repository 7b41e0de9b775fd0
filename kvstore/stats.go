package kvstore

import "sync/atomic"

// Stats counts what a store has done since it was opened.
type Stats struct {
	Procedures  uint64 // procedures run, by Execute and the one-operation forms
	Commits     uint64 // transactions committed, each with one or more procedures or sweeps
	Rollbacks   uint64 // procedures and sweeps that failed or were undone
	Views       uint64 // Views begun
	Swept       uint64 // expired entries removed
	Checkpoints uint64 // times the log was carried over while open
	Queued      int    // calls in the queue now
	LogPages    int    // length of the write-ahead log after the last commit, in pages
}

// counters is Stats as it is counted.
type counters struct {
	procedures, commits, rollbacks, views, swept, checkpoints atomic.Uint64
	logPages                                                  atomic.Int64
}

// Stats returns the counts. They are read one after the other, so a procedure
// that ends meanwhile may show in some and not in others.
func (s *Store) Stats() Stats {
	n := &s.stats
	return Stats{
		Procedures:  n.procedures.Load(),
		Commits:     n.commits.Load(),
		Rollbacks:   n.rollbacks.Load(),
		Views:       n.views.Load(),
		Swept:       n.swept.Load(),
		Checkpoints: n.checkpoints.Load(),
		Queued:      len(s.queue),
		LogPages:    int(n.logPages.Load()),
	}
}
