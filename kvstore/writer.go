package kvstore

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"zombiezen.com/go/sqlite"
)

// writer is the storage goroutine: it owns the read-write connection and runs
// everything that is queued. Its fields are touched by no one else.
type writer struct {
	s      *Store
	c      *conn
	file   bool     // has a log and readers
	floors []uint64 // counter floors as committed, by table.index

	current *item // running and not answered yet
	cause   error // why the store must stop
	unknown bool  // the last COMMIT failed and may have succeeded

	retryAt    int           // log length in pages that a checkpoint waits for after one that failed
	idle       *time.Timer   // a checkpoint is worth while if nothing comes before it fires
	sweepAgain chan struct{} // holds a token while more is known to have expired
}

// loop runs until Close or until w.cause is set, and then lets everything go.
func (w *writer) loop() {
	defer w.end() // also when a procedure has called runtime.Goexit
	w.idle = time.NewTimer(idleDelay)
	w.idle.Stop()
	var tick <-chan time.Time
	if w.s.opt.SweepEvery > 0 {
		ticker := time.NewTicker(w.s.opt.SweepEvery)
		defer ticker.Stop()
		tick = ticker.C
	}
	for w.cause == nil {
		select {
		case it := <-w.s.queue:
			w.execute(it)
		case <-tick:
			w.sweep()
		case <-w.sweepAgain: // competes with the queue on equal terms
			w.sweep()
		case <-w.idle.C:
			w.checkpoint()
		case <-w.s.closing:
			w.drain()
			return
		}
	}
}

// drain runs what was queued before Close.
func (w *writer) drain() {
	for w.cause == nil && !w.s.cutOff() {
		select {
		case it := <-w.s.queue:
			w.execute(it)
		default:
			return
		}
	}
}

// execute runs one item and answers it.
func (w *writer) execute(it *item) {
	if w.s.cutOff() || !it.take() {
		return // without an answer: its caller has one, or gets it when the store stops
	}
	w.current = it
	w.s.busy.Store(true)
	err := w.transact(it)
	w.s.busy.Store(false)
	w.current = nil
	w.count(it, err)
	if isFatal(err) {
		w.cause = err
		w.s.stop(err) // before the answer, so that the caller finds the store stopped
		err = w.s.err
		if w.unknown {
			err = fmt.Errorf("%w: %w", ErrIndeterminate, err)
		}
	}
	it.answer(err)
	if err == nil && it.kind != view {
		w.checkpointIfDue()
	}
}

// transact runs one item in a transaction and returns its outcome, fatal where
// isFatal says so. Nothing of it is in the file when there is an error, unless
// w.unknown.
func (w *writer) transact(it *item) error {
	begin := w.c.begin
	if it.kind == view {
		begin = w.c.beginRead
	}
	if err := run(begin); err != nil {
		return engineError("begin", err)
	}
	tx := &Tx{
		ReadTx: ReadTx{s: w.s, c: w.c, ctx: it.ctx},
		floors: counterFloors{base: w.floors},
	}
	err := tx.outcome(w.call(it, tx))
	if err == nil {
		if failed := tx.floors.save(w.c, w.s.order); failed != nil {
			err = engineError("save counters", failed)
		}
	}
	if err != nil {
		return w.rollBack(err)
	}
	return w.commit(tx)
}

// call runs the item's function and turns a panic into an error.
func (w *writer) call(it *item, tx *Tx) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		if v == nil {
			return // runtime.Goexit: goes on to w.end
		}
		p := &PanicError{Value: v, Stack: debug.Stack()}
		switch {
		case it.kind == view:
			it.panicked = v
			err = p
		case it.kind == procedure && w.s.opt.OnPanic == FailCaller:
			w.s.opt.Logger.Error("kvstore: procedure panicked", "path", w.s.path, "panic", v, "stack", string(p.Stack))
			err = p
		default:
			err = &fatalError{p}
		}
	}()
	tx.now = w.s.opt.Clock().UnixMilli()
	err = it.run(tx)
	returned = true
	return err
}

// outcome ends the use of t and returns the error of its function, given what
// that returned. A failure that the function did not report counts too.
func (t *ReadTx) outcome(returned error) error {
	t.done = true
	if t.fault != nil && !errors.Is(returned, t.fault) {
		return t.fault
	}
	return returned
}

// rollBack undoes the transaction because of err and returns err, or worse.
func (w *writer) rollBack(err error) error {
	if !w.c.inTransaction() {
		return err // the engine has done it
	}
	if failed := run(w.c.rollback); failed != nil && w.c.inTransaction() {
		return &fatalError{fmt.Errorf("kvstore: rollback: %v (after: %w)", failed, err)}
	}
	return err
}

func (w *writer) commit(tx *Tx) error {
	err := run(w.c.commit)
	if err == nil {
		w.floors = tx.floors.committed()
		return nil
	}
	w.unknown = commitUnknown(sqlite.ErrCode(err))
	return w.rollBack(engineError("commit", err))
}

// count adds a finished item to the statistics.
func (w *writer) count(it *item, err error) {
	n := &w.s.stats
	switch it.kind {
	case view:
		n.views.Add(1)
		return
	case procedure:
		n.procedures.Add(1)
	}
	if err != nil {
		n.rollbacks.Add(1)
		return
	}
	n.commits.Add(1)
	n.swept.Add(uint64(it.swept))
}

// sweep removes what has expired, and comes back soon if there was too much
// for one transaction.
func (w *writer) sweep() {
	it := sweepItem(context.Background())
	w.execute(it)
	switch {
	case it.err != nil:
		w.s.opt.Logger.Warn("kvstore: sweep failed", "path", w.s.path, "error", it.err)
	case it.swept == sweepLimit:
		select {
		case w.sweepAgain <- struct{}{}:
		default:
		}
	}
}

// end lets go of everything: it wakes the callers, waits for the Views and
// closes connections and lock.
func (w *writer) end() {
	s := w.s
	if it := w.current; it != nil { // its procedure has taken this goroutine down
		w.cause = w.rollBack(errors.New("kvstore: procedure called runtime.Goexit"))
		s.stop(w.cause)
		it.answer(s.err)
	} else if w.cause == nil {
		s.stop(nil)
	}
	w.idle.Stop()
	if w.cause == nil {
		s.closeErr = w.closeClean()
	} else {
		s.closeErr = w.closeAsIs()
	}
	if err := s.lock.release(); err != nil && s.closeErr == nil {
		s.closeErr = fmt.Errorf("kvstore: close: %w", err)
	}
	close(s.released)
}

// closeClean carries the log over into the file, which is then all there is.
func (w *writer) closeClean() error {
	w.s.readers.close()
	var failed error
	if w.file {
		failed = w.c.exec("PRAGMA wal_checkpoint(TRUNCATE)")
	}
	if err := w.c.close(); err != nil && failed == nil {
		failed = engineError("close", err)
	}
	return failed
}

// closeAsIs leaves the log as it is. After a failed flush a checkpoint would
// carry over pages that the disk may have lost. The last connection to close
// makes one if it can write, so the writer must not be the last.
func (w *writer) closeAsIs() error {
	err := w.c.close()
	w.s.readers.close()
	if err != nil {
		return engineError("close", err)
	}
	return nil
}
