package kvstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"zombiezen.com/go/sqlite"
)

// Store is an open key-value store. It is safe for concurrent use. Open starts
// one goroutine, the storage goroutine, which ends with Close or when the
// store stops.
type Store struct {
	path    string // absolute, links resolved; empty in memory
	opt     Options
	order   []*table          // as declared
	tables  map[string]*table // the same by name
	readers *readers          // nil: Views go through the queue
	lock    *fileLock         // nil in memory

	queue   chan *item
	busy    atomic.Bool // a procedure is running
	storage string      // identity of the storage goroutine

	closing   chan struct{} // closed by Close: no new callers
	closeOnce sync.Once
	cut       atomic.Bool   // Close's context has ended: fail what is left
	stopped   chan struct{} // closed by stop: no procedure starts any more
	released  chan struct{} // closed when file, connections and lock are let go
	err       error         // why it stopped; readable once stopped is closed
	closeErr  error         // what went wrong in closing; likewise with released
	aside     sync.RWMutex  // held for reading by those beside the queue and the Views; see beside

	watchers watchers
	sequence atomic.Uint64 // twice the commits tried so far, and one more during a COMMIT
	shown    atomic.Uint64 // the last sequence during whose COMMIT a View opened a snapshot
	stats    counters
}

// Open opens the store in the file at path, and creates it (mode 0600) when
// there is none; its folder must exist. A file made by the Python package
// freetser is converted. Errors: [ErrLocked] when the file is open elsewhere,
// [ErrCorrupt] when it is no database, those of package os, and others that
// say what is wrong with the options, the file's tables or its schema version.
func Open(path string, o Options) (*Store, error) {
	s, err := newStore(o)
	if err != nil {
		return nil, err
	}
	if err := s.openFile(path); err != nil {
		return nil, err
	}
	return s, nil
}

// OpenMemory opens an empty store that lives in memory and ends with Close.
// Everything goes through the queue, Views too.
func OpenMemory(o Options) (*Store, error) {
	s, err := newStore(o)
	if err != nil {
		return nil, err
	}
	c, err := openConn(":memory:", sqlite.OpenReadWrite|sqlite.OpenMemory, len(s.order), writerCache)
	if err != nil {
		return nil, fmt.Errorf("kvstore: open in memory: %w", &barePrefix{err})
	}
	if err := s.start(c); err != nil {
		c.close()
		return nil, fmt.Errorf("kvstore: open in memory: %w", &barePrefix{err})
	}
	return s, nil
}

func newStore(o Options) (*Store, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	s := &Store{
		opt:      o,
		tables:   make(map[string]*table, len(o.Tables)),
		queue:    make(chan *item, o.QueueLen),
		closing:  make(chan struct{}),
		stopped:  make(chan struct{}),
		released: make(chan struct{}),
	}
	for i, t := range o.Tables {
		tb := newTable(t, i)
		s.order = append(s.order, tb)
		s.tables[t.Name] = tb
	}
	return s, nil
}

// openFile does what Open has to do beyond OpenMemory: it locks the file,
// opens it for the writer and the first reader, and starts.
func (s *Store) openFile(path string) (err error) {
	defer func() {
		if err != nil {
			s.lock.release()
			if !errors.Is(err, ErrLocked) {
				err = fmt.Errorf("kvstore: open %q: %w", path, &barePrefix{err})
			}
		}
	}()
	if s.path, err = resolve(path); err != nil {
		return err
	}
	if s.lock, err = acquireLock(s.path); err != nil {
		return err
	}
	if err := s.prepareFile(); err != nil {
		return err
	}
	c, err := openConn(s.path, sqlite.OpenReadWrite, len(s.order), writerCache)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if err := c.configureFile(s.opt.Durability, s.opt.Logger); err != nil {
		return err
	}
	return s.start(c)
}

// start prepares the schema and starts the storage goroutine, which owns c
// from then on.
func (s *Store) start(c *conn) error {
	if err := createTables(c, s.order); err != nil {
		return err
	}
	floors, err := loadFloors(c, s.order)
	if err != nil {
		return err
	}
	if floors, err = s.runMigrations(c, floors); err != nil {
		return err
	}
	var spare *readers
	if s.path != "" {
		r, err := openReaders(s.path, max(1, s.opt.Readers), len(s.order), s.opt.MapFile)
		if err != nil {
			return err
		}
		if s.opt.Readers > 0 {
			s.readers = r
		} else {
			spare = r
		}
	}
	started := make(chan struct{})
	w := &writer{s: s, c: c, floors: floors, file: s.path != "", sweepAgain: make(chan struct{}, 1), slow: newSlowWatch(s), spare: spare}
	go func() { // ended by Close or by a fatal error; see writer.loop
		s.storage = goroutineID()
		close(started)
		w.loop()
	}()
	<-started
	return nil
}

// Execute runs fn as a procedure: alone, in a transaction, after those queued
// before it. It answers after COMMIT, when the changes are as safe as
// Options.Durability says.
//
// An error that fn returns rolls back its changes and is returned unchanged.
// When ctx ends while the procedure waits, Execute returns at once and fn never
// runs; while it runs, Execute waits, the next operation on the Tx fails and
// the changes are rolled back; after the last operation the outcome stands,
// whatever ctx says. fn may be run more than once; it must not use the Store.
//
// Other errors: [ErrClosed], [ErrStopped], [ErrFull], [ErrIndeterminate],
// [ErrReentrant], the context's, and those of the operations on Tx.
func (s *Store) Execute(ctx context.Context, fn func(*Tx) error) error {
	if fn == nil {
		panic("kvstore: Execute with a nil procedure")
	}
	return s.submit(ctx, newItem(ctx, procedure, fn))
}

// View runs fn over a snapshot: everything answered before View was called,
// and nothing that is committed after it began. fn runs on the caller's
// goroutine beside procedures and other Views, Options.Readers at a time; in
// memory it runs on the storage goroutine in its turn. fn may be run more than
// once; it must not use the Store. A panic in fn comes out of View and leaves
// the store alone.
//
// An error that fn returns is returned unchanged. Other errors: [ErrClosed],
// [ErrStopped], [ErrReentrant], the context's, and those of the operations on
// ReadTx.
func (s *Store) View(ctx context.Context, fn func(*ReadTx) error) error {
	if fn == nil {
		panic("kvstore: View with a nil function")
	}
	if s.readers != nil {
		return s.viewSnapshot(ctx, fn)
	}
	it := newItem(ctx, view, func(tx *Tx) error { return fn(&tx.ReadTx) })
	err := s.submit(ctx, it)
	if p := it.panicked; p != nil {
		panic(p)
	}
	return err
}

// Execute is the method Execute for a procedure with a result. Unless the
// error is nil the result is the zero value.
func Execute[T any](ctx context.Context, s *Store, fn func(*Tx) (T, error)) (T, error) {
	var result T
	err := s.Execute(ctx, func(tx *Tx) (err error) {
		result, err = fn(tx)
		return err
	})
	if err != nil {
		return *new(T), err
	}
	return result, nil
}

// View is the method View for a function with a result. Unless the error is
// nil the result is the zero value.
func View[T any](ctx context.Context, s *Store, fn func(*ReadTx) (T, error)) (T, error) {
	var result T
	err := s.View(ctx, func(tx *ReadTx) (err error) {
		result, err = fn(tx)
		return err
	})
	if err != nil {
		return *new(T), err
	}
	return result, nil
}

// Tables returns the names of the declared tables, in the order of
// Options.Tables. The slice is the caller's.
func (s *Store) Tables() []string {
	names := make([]string, len(s.order))
	for i, t := range s.order {
		names[i] = t.Name
	}
	return names
}

// Done returns a channel that is closed when the store runs no more
// procedures: after Close, or when it has stopped by itself.
func (s *Store) Done() <-chan struct{} { return s.stopped }

// Err says why Done is closed: [ErrClosed], or [ErrStopped] with its cause. It
// is nil as long as the store runs.
func (s *Store) Err() error {
	select {
	case <-s.stopped:
		return s.err
	default:
		return nil
	}
}

// stop ends the intake and wakes all who wait. A nil cause means Close. Only
// the storage goroutine calls it, once.
func (s *Store) stop(cause error) {
	s.err = ErrClosed
	if cause != nil {
		s.err = &stopError{cause}
		s.opt.Logger.Error("kvstore: store stopped", "path", s.path, "cause", cause)
	}
	close(s.stopped)
}

// cutOff reports whether transactions must end now.
func (s *Store) cutOff() bool { return s.cut.Load() }

// Close ends the store. New calls get [ErrClosed]; procedures queued before
// are run, until ctx ends: then those still waiting get ErrClosed, those
// running and open Views get it from their next operation, and Close returns
// ctx's error while they wind up. Otherwise it returns when the file is closed
// and unlocked, with what went wrong in that; the answered procedures are safe
// whatever it returns. A store that has stopped by itself needs Close too.
//
// Close may be called again, and then waits for the same end. From inside a
// procedure it is [ErrReentrant] and does nothing.
func (s *Store) Close(ctx context.Context) error {
	if s.onStorageGoroutine() {
		return ErrReentrant
	}
	s.closeOnce.Do(func() { close(s.closing) })
	select {
	case <-s.released:
		return s.closeErr
	case <-ctx.Done():
	}
	s.cut.Store(true)
	return fmt.Errorf("kvstore: close: %w", ctx.Err())
}
