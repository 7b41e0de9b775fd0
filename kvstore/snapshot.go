package kvstore

import (
	"context"
	"sync/atomic"
	"time"
)

// snapshot is what a connection of the pool knows about its Views.
type snapshot struct {
	held     bool         // the last View's snapshot is still open
	sequence uint64       // commits that it holds, at least
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
	if err := c.snapshotAt(s.sequence.Load()); err != nil {
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

// snapshotAt opens a snapshot that holds the first so many commits, or goes on with
// the one that is held if it is of that moment. The number must be read before:
// a snapshot may hold more than its number says, never less.
func (c *conn) snapshotAt(sequence uint64) error {
	if c.held && c.sequence == sequence {
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
	c.held, c.sequence = true, sequence
	return nil
}

func (c *conn) endSnapshot() {
	if c.inTransaction() {
		run(c.rollback)
	}
	c.held = false
}
