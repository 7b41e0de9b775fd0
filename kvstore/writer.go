package kvstore

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// writer is the storage goroutine: it owns the read-write connection and runs
// everything that is queued. Its fields are touched by no one else.
type writer struct {
	s      *Store
	c      *conn
	file   bool     // has a log and readers
	floors []uint64 // counter floors as committed, by table.index

	batch       batch
	lastBatch   int   // how many procedures the last transaction carried
	held        *item // taken from the queue, and next
	current     *item // running and not answered yet
	inSavepoint bool  // current can be undone alone
	cause       error // why the store must stop
	unknown     bool  // the last COMMIT failed and may have succeeded
	slow        slowWatch
	spare       *readers // keeps the file open beside c where s has no readers: see closeAsIs

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
		if it := w.held; it != nil {
			w.held = nil
			w.execute(it)
			continue
		}
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
		it := w.held
		if w.held = nil; it == nil {
			select {
			case it = <-w.s.queue:
			default:
				return
			}
		}
		w.execute(it)
	}
}

// execute runs an item, and with it what is queued behind it.
func (w *writer) execute(it *item) {
	if it.kind == view {
		w.view(it)
		return
	}
	w.runBatch(it)
}

// view runs a View that goes through the queue, in a transaction of its own.
func (w *writer) view(it *item) {
	if !w.takes(it) {
		return
	}
	w.s.busy.Store(true)
	defer w.s.busy.Store(false)
	if err := run(w.c.beginRead); err != nil {
		w.finish(it, engineError("begin", err))
		return
	}
	w.current, w.inSavepoint = it, false
	tx := &Tx{ReadTx: ReadTx{s: w.s, c: w.c, ctx: it.ctx}, floors: counterFloors{base: w.floors}}
	err := tx.outcome(w.call(it, tx))
	w.current = nil
	if failed := w.rollBack(nil); failed != nil {
		err = failed
	} else if !isFatal(tx.fault) { // a mark of its function's does not count in a View
		w.count(it, err)
		it.answer(err)
		return
	}
	w.finish(it, err)
}

// count adds a finished item to the statistics.
func (w *writer) count(it *item, err error) {
	n := &w.s.stats
	switch it.kind {
	case view:
		n.views.Add(1)
		return
	case procedure, operation:
		n.procedures.Add(1)
	}
	if err != nil {
		n.rollbacks.Add(1)
		return
	}
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
	switch it := w.current; {
	case it != nil: // its procedure has taken this goroutine down
		w.goexit(it)
	case w.cause == nil:
		s.stop(nil)
	}
	w.idle.Stop()
	s.aside.Lock() // for good: waits for those who read beside us and lets no other begin
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

// goexit ends the batch in which the procedure of it has called runtime.Goexit:
// that procedure is undone, those before it are committed, those that were to be run
// again behind it are not run.
func (w *writer) goexit(it *item) {
	it.err = &fatalError{errors.New("kvstore: procedure called runtime.Goexit")}
	err, b := it.err, &w.batch
	if w.inSavepoint {
		err = w.undo(err)
	}
	switch {
	case it.kind == view:
		w.finish(it, w.rollBack(err))
		return
	case len(b.members) == 0:
		w.finish(it, w.rollBack(err))
	case !w.c.inTransaction(): // the engine has undone those before it too
		w.finish(it, err)
		w.abandon(b.members)
	default:
		w.cause = err
		b.members = append(b.members, it)
		w.commit()
	}
	w.abandon(b.left)
}

// closeClean carries the log over into the file, which is then all there is.
func (w *writer) closeClean() error {
	w.s.readers.close()
	w.spare.close()
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
	w.spare.close()
	if err != nil {
		return engineError("close", err)
	}
	return nil
}
