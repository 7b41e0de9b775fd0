package kvstore

import (
	"context"
	"fmt"
	"runtime"
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
//
// A View that ends puts its connection back for whoever comes first, and does not
// hand it to the one that has waited longest: that one is not running, and until it
// does nobody could use the connection. With eight callers that is four times faster
// than a channel of connections.
type readers struct {
	path   string
	tables int
	mapped bool // the connections map the file
	most   int  // the pool may grow to this when Views hold it up

	news    chan struct{} // tokens for Views that wait: something was put back
	back    chan struct{} // the same for the pause, which Views must not rob of it
	waiting atomic.Int32
	armed   atomic.Bool // the timer runs
	timer   *time.Timer // looks whether the pool should grow

	mu     sync.Mutex // guards what follows
	idle   []*conn    // the last one put back is the first to go; nil is one not opened yet
	all    []*conn    // open
	total  int        // slots: in idle, or with a View
	paused bool       // nothing goes to Views, and the pool does not grow
}

const (
	// growAfter is how long a View must have run, while others wait, for the pool to
	// get one more connection: long Views must not hold up short ones.
	growAfter = 5 * time.Millisecond
	growTimes = 4

	// mapSize is how much of a file is mapped at most: the engine takes no more. // bytes
	mapSize = 1<<31 - 1

	// acquireYields is how often a View lets others run before it parks: as many
	// connections as processors means that one is nearly always about to be put back.
	acquireYields = 16
)

// openReaders makes a pool of n. One connection is opened at once and one
// stays open to the end: see writer.closeAsIs.
func openReaders(path string, n, tables int, mapped bool) (*readers, error) {
	r := &readers{path: path, tables: tables, mapped: mapped, most: growTimes * n, total: n}
	r.news, r.back = make(chan struct{}, r.most), make(chan struct{}, 1)
	r.timer = time.AfterFunc(time.Hour, r.growIfStuck)
	r.timer.Stop()
	first, err := r.open()
	if err != nil {
		return nil, err
	}
	r.idle = append(make([]*conn, n-1, r.most), first)
	return r, nil
}

func (r *readers) open() (*conn, error) {
	c, err := openConn(r.path, sqlite.OpenReadOnly, r.tables, readerCache)
	if err != nil {
		return nil, err
	}
	if r.mapped {
		if err := c.exec(fmt.Sprintf("PRAGMA mmap_size = %d", mapSize)); err != nil {
			c.close()
			return nil, err
		}
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

// take takes a slot if one is idle; the writer's pause gets them before Views do.
func (r *readers) take(forWriter bool) (c *conn, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.idle) - 1
	if last < 0 || r.paused && !forWriter {
		return nil, false
	}
	c = r.idle[last]
	r.idle = r.idle[:last]
	return c, true
}

// put gives a slot back.
func (r *readers) put(c *conn) {
	r.mu.Lock()
	r.idle = append(r.idle, c)
	paused := r.paused
	r.mu.Unlock()
	if !paused {
		r.wake()
		return
	}
	select {
	case r.back <- struct{}{}:
	default: // it has a look to take already
	}
}

func (r *readers) wake() {
	if r.waiting.Load() > 0 {
		select {
		case r.news <- struct{}{}:
		default: // as many are on their way as there are slots
		}
	}
}

// acquireReader takes a connection from the pool, waiting for one if need be.
func (s *Store) acquireReader(ctx context.Context) (*conn, error) {
	if err := s.admit(ctx); err != nil {
		return nil, err
	}
	r := s.readers
	for range acquireYields {
		if c, ok := r.take(false); ok {
			return s.openSlot(c)
		}
		runtime.Gosched()
	}
	r.waiting.Add(1)
	defer r.waiting.Add(-1)
	for {
		if c, ok := r.take(false); ok {
			return s.openSlot(c)
		}
		r.arm()
		select {
		case <-r.news:
		case <-ctx.Done():
			return nil, notRun(ctx.Err())
		case <-s.closing:
			return nil, s.refusal()
		case <-s.stopped:
			return nil, s.refusal()
		}
	}
}

// openSlot returns the connection of a slot, opening it if need be.
func (s *Store) openSlot(c *conn) (*conn, error) {
	if c != nil {
		return c, nil
	}
	c, err := s.readers.open()
	if err != nil {
		s.readers.put(nil)
		return nil, fmt.Errorf("kvstore: view: %w", &barePrefix{err})
	}
	return c, nil
}

// arm lets growIfStuck have a look soon.
func (r *readers) arm() {
	if r.armed.CompareAndSwap(false, true) {
		r.timer.Reset(growAfter)
	}
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
	if time.Since(time.Unix(0, oldest)) >= growAfter && r.total < r.most && !r.paused {
		r.total++
		r.idle = append(r.idle, nil)
	}
	r.mu.Unlock()
	r.wake()
	r.arm()
}

// pause keeps new Views waiting and ends the snapshots that are held, so that the
// log can start over. It waits for Views that run until the time is over; less than
// zero is for ever. The function that it returns lets Views go on.
func (r *readers) pause(wait time.Duration) (resume func()) {
	r.mu.Lock()
	r.paused = true
	total := r.total
	r.mu.Unlock()
	var over <-chan time.Time
	if wait >= 0 {
		over = time.After(wait)
	}
	var taken []*conn
	for waiting := true; waiting && len(taken) < total; {
		c, ok := r.take(true)
		if ok {
			taken = append(taken, c)
			if c != nil {
				c.endSnapshot()
			}
			continue
		}
		select {
		case <-r.back:
		case <-over:
			waiting = false
		}
	}
	return func() {
		r.mu.Lock()
		r.idle = append(r.idle, taken...)
		r.paused = false
		idle := len(r.idle) // what came back too late for the pause was told to nobody
		r.mu.Unlock()
		for range idle {
			r.wake()
		}
	}
}

// close waits for the Views that run and closes all connections. A nil r has
// none.
func (r *readers) close() {
	if r == nil {
		return
	}
	r.timer.Stop()
	r.pause(-1)
	for _, c := range r.all {
		c.close()
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
