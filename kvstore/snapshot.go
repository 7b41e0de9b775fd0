package kvstore

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"
)

// readers is a pool of read-only connections, one for each View that may run at
// once. A connection that is idle keeps the snapshot of its last View: as long as
// nothing was committed since, the next View goes on with it, which costs a third
// of a new one.
type readers struct {
	path   string
	tables int
	idle   chan *conn  // room for most; nil is a connection not opened yet
	most   int         // the pool may grow to this when Views hold it up
	paused atomic.Bool // the pool must not grow: the writer takes the snapshots away, or closes

	waiting atomic.Int32 // Views that wait for a connection
	armed   atomic.Bool  // the timer runs
	timer   *time.Timer  // looks whether the pool should grow

	mu    sync.Mutex // guards what follows
	all   []*conn    // open
	total int        // slots: in idle, or with a View
}

const (
	// growAfter is how long a View must have run, while others wait, for the pool to
	// get one more connection: long Views must not hold up short ones.
	growAfter = 5 * time.Millisecond
	growTimes = 4
)

// snapshot is what a connection of the pool knows about its Views.
type snapshot struct {
	held     bool         // the last View's snapshot is still open
	sequence uint64       // commits that it holds, at least
	began    atomic.Int64 // of the View that runs, in nanoseconds since the Unix epoch; 0: none
	tooOld   atomic.Bool  // the View that runs stands in the way of the log
}

// openReaders makes a pool of n. One connection is opened at once and one
// stays open to the end: see writer.closeAsIs.
func openReaders(path string, n, tables int) (*readers, error) {
	r := &readers{path: path, tables: tables, most: growTimes * n, total: n}
	r.idle = make(chan *conn, r.most)
	r.timer = time.AfterFunc(time.Hour, r.growIfStuck)
	r.timer.Stop()
	first, err := r.open()
	if err != nil {
		return nil, err
	}
	r.idle <- first
	for range n - 1 {
		r.idle <- nil
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
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, c)
	return c, nil
}

// drop closes a connection that cannot be used again. Its slot opens another.
func (r *readers) drop(c *conn) {
	r.mu.Lock()
	r.all = slices.DeleteFunc(r.all, func(o *conn) bool { return o == c })
	r.mu.Unlock()
	c.close() // it has written nothing that could be lost
}

// growIfStuck adds a slot if Views wait for one that takes long.
func (r *readers) growIfStuck() {
	r.armed.Store(false)
	if r.waiting.Load() == 0 {
		return
	}
	r.mu.Lock()
	oldest := time.Now().UnixNano()
	for _, c := range r.all {
		if began := c.began.Load(); began != 0 {
			oldest = min(oldest, began)
		}
	}
	stuck := time.Since(time.Unix(0, oldest)) >= growAfter && r.total < r.most && !r.paused.Load()
	if stuck {
		r.total++
	}
	r.mu.Unlock()
	if stuck {
		r.idle <- nil
	}
	r.arm()
}

// arm lets growIfStuck have a look soon.
func (r *readers) arm() {
	if r.armed.CompareAndSwap(false, true) {
		r.timer.Reset(growAfter)
	}
}

// close waits for the Views that run and closes all connections. A nil r has
// none.
func (r *readers) close() {
	if r == nil {
		return
	}
	r.paused.Store(true)
	r.timer.Stop()
	for range r.slots() {
		if c := <-r.idle; c != nil {
			c.close()
		}
	}
}

func (r *readers) slots() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// pause keeps new Views waiting and ends the snapshots that are held, so that the
// log can start over. It waits for Views that run until the time is over. The
// function that it returns lets Views go on.
func (r *readers) pause(wait time.Duration) (resume func()) {
	r.paused.Store(true)
	var taken []*conn
	over := time.After(wait)
	for range r.slots() {
		select {
		case c := <-r.idle:
			taken = append(taken, c)
			if c != nil {
				c.endSnapshot()
			}
			continue
		case <-over:
		}
		break
	}
	return func() {
		r.paused.Store(false)
		for _, c := range taken {
			r.idle <- c
		}
	}
}

// hurry makes the Views fail that have run for longer than age.
func (r *readers) hurry(age time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	limit := time.Now().Add(-age).UnixNano()
	for _, c := range r.all {
		if began := c.began.Load(); began != 0 && began < limit {
			c.tooOld.Store(true)
		}
	}
}

// viewSnapshot is View on a connection of the pool.
func (s *Store) viewSnapshot(ctx context.Context, fn func(*ReadTx) error) error {
	c, err := s.acquireReader(ctx)
	if err != nil {
		return err
	}
	defer func() { s.readers.idle <- c }()
	s.stats.views.Add(1)
	if err := c.snapshotAt(s.sequence.Load()); err != nil {
		return engineError("begin", err)
	}
	c.tooOld.Store(false)
	c.began.Store(time.Now().UnixNano())
	tx := &ReadTx{s: s, c: c, ctx: ctx, now: s.opt.Clock().UnixMilli()}
	defer func() { // also when fn panics
		tx.done = true
		c.began.Store(0)
		if tx.fault == nil {
			return // the next View may go on with the snapshot
		}
		if c.endSnapshot(); c.inTransaction() {
			s.readers.drop(c)
			c = nil // the slot opens another one
		}
	}()
	return tx.outcome(fn(tx))
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

// acquireReader takes a connection from the pool, waiting for one if need be.
func (s *Store) acquireReader(ctx context.Context) (*conn, error) {
	if err := s.admit(ctx); err != nil {
		return nil, err
	}
	r := s.readers
	select {
	case c := <-r.idle:
		return s.openSlot(c)
	default:
	}
	r.waiting.Add(1)
	defer r.waiting.Add(-1)
	r.arm()
	select {
	case c := <-r.idle:
		return s.openSlot(c)
	case <-ctx.Done():
		return nil, notRun(ctx.Err())
	case <-s.closing:
		return nil, s.refusal()
	case <-s.stopped:
		return nil, s.refusal()
	}
}

// openSlot returns the connection of a slot, opening it if need be.
func (s *Store) openSlot(c *conn) (*conn, error) {
	if c != nil {
		return c, nil
	}
	c, err := s.readers.open()
	if err != nil {
		s.readers.idle <- nil
		return nil, fmt.Errorf("kvstore: view: %w", &barePrefix{err})
	}
	return c, nil
}
