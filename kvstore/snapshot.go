package kvstore

import (
	"context"
	"fmt"

	"zombiezen.com/go/sqlite"
)

// readers is a pool of read-only connections, one for each View that may run
// at once. A slot is a connection, or nil for one not opened yet.
type readers struct {
	path   string
	tables int
	slots  chan *conn
}

// openReaders makes a pool of n. One connection is opened at once and one
// stays open to the end: see writer.closeAsIs.
func openReaders(path string, n, tables int) (*readers, error) {
	r := &readers{path: path, tables: tables, slots: make(chan *conn, n)}
	first, err := r.open()
	if err != nil {
		return nil, err
	}
	r.slots <- first
	for range n - 1 {
		r.slots <- nil
	}
	return r, nil
}

func (r *readers) open() (*conn, error) {
	c, err := openConn(r.path, sqlite.OpenReadOnly, r.tables, readerCache)
	if err != nil {
		return nil, err
	}
	if c.pin, err = c.db.Prepare("SELECT 1 FROM kv_meta LIMIT 1"); err != nil {
		c.close()
		return nil, engineError("open for reading", err)
	}
	return c, nil
}

// close waits for the Views that run and closes all connections. A nil r has
// none.
func (r *readers) close() {
	if r == nil {
		return
	}
	for range cap(r.slots) {
		if c := <-r.slots; c != nil {
			c.close() // it has written nothing that could be lost
		}
	}
}

// viewSnapshot is View on a connection of the pool.
func (s *Store) viewSnapshot(ctx context.Context, fn func(*ReadTx) error) error {
	c, err := s.acquireReader(ctx)
	if err != nil {
		return err
	}
	defer func() { s.readers.slots <- c }()
	s.stats.views.Add(1)
	tx := &ReadTx{s: s, c: c, ctx: ctx, now: s.opt.Clock().UnixMilli()}
	if err := c.beginSnapshot(); err != nil {
		return engineError("begin", err)
	}
	defer func() { // also when fn panics
		tx.done = true
		if failed := run(c.rollback); failed != nil && c.inTransaction() {
			c.close()
			c = nil // the slot opens another one
		}
	}()
	return tx.outcome(fn(tx))
}

// beginSnapshot begins a transaction and fixes what it sees: the engine would
// do that only at the first read.
func (c *conn) beginSnapshot() error {
	if err := run(c.beginRead); err != nil {
		return err
	}
	if err := run(c.pin); err != nil {
		run(c.rollback)
		return err
	}
	return nil
}

// acquireReader takes a connection from the pool, waiting for one if need be.
func (s *Store) acquireReader(ctx context.Context) (*conn, error) {
	if err := s.admit(ctx); err != nil {
		return nil, err
	}
	select {
	case c := <-s.readers.slots:
		if c != nil {
			return c, nil
		}
		c, err := s.readers.open()
		if err != nil {
			s.readers.slots <- nil
			return nil, fmt.Errorf("kvstore: view: %w", &barePrefix{err})
		}
		return c, nil
	case <-ctx.Done():
		return nil, notRun(ctx.Err())
	case <-s.closing:
		return nil, s.refusal()
	case <-s.stopped:
		return nil, s.refusal()
	}
}
