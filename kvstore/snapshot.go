package kvstore

import (
	"context"
	"sync/atomic"
	"time"
)

// snapshot is what a connection of the pool knows about its Views.
type snapshot struct {
	held     bool         // the last View's snapshot is still open
	sequence uint64       // Store.sequence before it began: what it holds, at least
	began    atomic.Int64 // of the View that runs, in nanoseconds since the Unix epoch; 0: none
	tooOld   atomic.Bool  // the View that runs stands in the way of the log
}

// viewSnapshot is View on a connection of the pool.
func (s *Store) viewSnapshot(ctx context.Context, fn func(*ReadTx) error) error {
	c, err := s.beginView(ctx)
	if err != nil {
		return err
	}
	c.began.Store(time.Now().UnixNano())
	tx := &ReadTx{s: s, c: c, ctx: ctx, now: s.opt.Clock().UnixMilli()}
	defer func() { // also when fn panics
		tx.done = true
		c.began.Store(0)
		s.endView(c, tx.fault)
	}()
	return tx.outcome(fn(tx))
}

// getSnapshot is a View of one Get, without what a function of a caller's needs.
func (s *Store) getSnapshot(ctx context.Context, table, key string) (Entry, bool, error) {
	c, err := s.beginView(ctx)
	if err != nil {
		return Entry{}, false, err
	}
	tx := ReadTx{s: s, c: c, ctx: ctx, now: s.opt.Clock().UnixMilli()}
	e, found, err := tx.Get(table, key)
	s.endView(c, tx.fault)
	return e, found, err
}

// beginView takes a connection and opens the present snapshot on it.
func (s *Store) beginView(ctx context.Context) (*conn, error) {
	c, err := s.acquireReader(ctx)
	if err != nil {
		return nil, err
	}
	s.stats.views.Add(1)
	c.tooOld.Store(false)
	if err := s.openSnapshot(c); err != nil {
		s.readers.put(c)
		return nil, engineError("begin", err)
	}
	return c, nil
}

// endView puts the connection back, with its snapshot for the next View unless this
// one met a failure.
func (s *Store) endView(c *conn, fault error) {
	if fault != nil {
		if c.endSnapshot(); c.inTransaction() {
			s.readers.drop(c)
			c = nil // the slot opens another one
		}
	}
	s.readers.put(c)
}

// openSnapshot opens the present snapshot on c, or goes on with the one that c holds
// if that will do: if nothing was committed since. While a COMMIT runs, what it writes
// may be visible or not; the held snapshot of the moment before will do until a View
// has opened one that may show it, for the next View must not see less.
func (s *Store) openSnapshot(c *conn) error {
	sequence := s.sequence.Load()
	if c.held && sequence%2 == 0 && c.sequence == sequence ||
		c.held && sequence%2 == 1 && c.sequence == sequence-1 && s.shown.Load() < sequence {
		return nil
	}
	c.endSnapshot()
	if err := run(c.beginRead); err != nil {
		return err
	}
	// The engine fixes what a transaction sees only at its first read.
	if err := run(c.pin); err != nil {
		run(c.rollback)
		return err
	}
	// The number was read before: a snapshot may hold more than that says, never less.
	c.held, c.sequence = true, sequence
	if now := s.sequence.Load(); now%2 == 1 {
		for shown := s.shown.Load(); shown < now && !s.shown.CompareAndSwap(shown, now); {
			shown = s.shown.Load()
		}
	}
	return nil
}

func (c *conn) endSnapshot() {
	if c.inTransaction() {
		run(c.rollback)
	}
	c.held = false
}
