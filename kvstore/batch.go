package kvstore

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"zombiezen.com/go/sqlite"
)

// A batch is the procedures that share one transaction, and so one flush to disk.
// Each stands in a savepoint of its own, so that it fails alone. Nobody is answered
// before the COMMIT, not even who failed: an ErrExists may rest on what a neighbour
// wrote and never committed.
type batch struct {
	members []*item  // have run, in order; their outcomes are not answered yet
	left    []*item  // are still to be run again in this transaction
	floors  []uint64 // counter floors, with what the members changed
	changes []change // what the members wrote, if someone watches
	started time.Time
}

// runBatch runs first and what else is queued, in as few transactions as it takes,
// and answers them.
func (w *writer) runBatch(first *item) {
	w.linger()
	w.s.busy.Store(true)
	w.batch.started = time.Now()
	again := []*item{first}
	for len(again) > 0 && w.cause == nil {
		again = w.transact(again)
	}
	w.abandon(again)
	w.s.busy.Store(false)
	if w.cause == nil { // else the log stays as it is: see closeAsIs
		w.checkpointIfDue()
	}
}

// abandon answers the items that do not come to run again because the store has
// stopped. Nothing of them is in the file; those not taken are told by stop.
func (w *writer) abandon(items []*item) {
	for _, it := range items {
		if it.state.Load() == itemRunning {
			w.answer(it, w.s.err)
		}
	}
}

// lingerYields is how often the storage goroutine lets others run before it begins
// a batch, so that those who were answered by the last can ask again.
const lingerYields = 32

// linger waits for as many callers as shared the last batch, for a moment: those
// who come just after it has begun would wait for two flushes.
func (w *writer) linger() {
	for range lingerYields {
		if len(w.s.queue)+1 >= w.lastBatch {
			return
		}
		runtime.Gosched()
	}
}

// transact runs the items, then what is queued, in one transaction. It returns the
// items that must be run again, since the engine has given up the transaction they
// were in because of one that is answered, or that did not come to run because the
// store stops.
func (w *writer) transact(items []*item) (again []*item) {
	b := &w.batch
	b.members, b.floors, b.changes = b.members[:0], w.floors, b.changes[:0]
	if err := run(w.c.begin); err != nil {
		for _, it := range items {
			if w.takes(it) {
				w.finish(it, engineError("begin", err))
			}
		}
		return nil
	}
	// Alone, an item needs no savepoint: if it fails there is nothing to keep. An
	// operation never needs one: if it fails it has changed nothing.
	alone := len(items) == 1 && len(w.s.queue) == 0
	for w.cause == nil {
		var it *item
		if len(items) > 0 {
			it, items = items[0], items[1:]
		} else if it = w.more(); it == nil {
			break
		}
		if !w.takes(it) {
			continue
		}
		first := alone
		alone = false
		w.current, w.inSavepoint, b.left = it, !first && it.kind != operation, items
		err := w.runItem(it)
		w.current = nil
		switch {
		case !w.c.inTransaction():
			w.finish(it, err)
			return append(slices.Clone(b.members), items...)
		case err != nil && first:
			w.finish(it, w.rollBack(err))
			return items
		}
		it.err = err
		b.members = append(b.members, it)
		if isFatal(err) {
			w.cause = err // those before it are committed, those behind it never run
		}
	}
	w.commit()
	return items
}

// takes claims an item for the storage goroutine. One that is running already is
// being run again. An item that is not taken needs no answer: its caller has one,
// or gets it when the store stops.
func (w *writer) takes(it *item) bool {
	return it.state.Load() == itemRunning || !w.s.cutOff() && it.take()
}

// more takes the next procedure from the queue, unless the batch has enough.
func (w *writer) more() *item {
	b := &w.batch
	if len(b.members) >= w.s.opt.MaxBatch || time.Since(b.started) >= w.s.opt.MaxBatchTime {
		return nil
	}
	select {
	case it := <-w.s.queue:
		if it.kind == view {
			w.held = it // reads, and so needs no COMMIT to wait for
			return nil
		}
		return it
	default:
		return nil
	}
}

// runItem runs one item inside the transaction and undoes it alone if it fails.
func (w *writer) runItem(it *item) error {
	b := &w.batch
	if w.inSavepoint {
		if err := run(w.c.savepoint); err != nil {
			return engineError("savepoint", err)
		}
	}
	tx := &Tx{
		ReadTx:  ReadTx{s: w.s, c: w.c, ctx: it.ctx},
		floors:  counterFloors{base: b.floors},
		watched: w.s.watchers.count.Load() > 0,
		changes: b.changes,
	}
	err := tx.outcome(w.call(it, tx))
	switch {
	case err != nil && !w.inSavepoint:
		return err
	case err != nil:
		return w.undo(err)
	case w.inSavepoint:
		if failed := run(w.c.release); failed != nil {
			return w.undo(engineError("release", failed))
		}
	}
	b.floors = tx.floors.committed()
	b.changes = tx.changes
	return nil
}

// undo rolls the item's savepoint back because of err and returns err, or worse.
func (w *writer) undo(err error) error {
	if !w.c.inTransaction() {
		return err // the engine has rolled back everything
	}
	failed := run(w.c.rollbackTo)
	if failed == nil {
		failed = run(w.c.release)
	}
	if failed != nil && w.c.inTransaction() {
		return &fatalError{fmt.Errorf("kvstore: rollback: %v (after: %w)", failed, err)}
	}
	return err
}

// commit ends the transaction and answers the members of the batch.
func (w *writer) commit() {
	b := &w.batch
	if len(b.members) == 0 {
		w.rollBack(nil)
		return
	}
	err := saveFloors(w.c, w.s.order, w.floors, b.floors)
	if err != nil {
		err = w.rollBack(engineError("save counters", err))
	} else {
		w.s.sequence.Add(1) // odd: what Views see may change at any moment
		if failed := run(w.c.commit); failed != nil {
			w.unknown = commitUnknown(sqlite.ErrCode(failed))
			err = w.rollBack(engineError("commit", failed))
		}
		w.s.sequence.Add(1) // before any answer: who is answered must not see an older snapshot
	}
	w.lastBatch = len(b.members)
	if err == nil {
		w.floors = b.floors
		w.s.stats.commits.Add(1)
		w.s.watchers.publish(b.changes)
	}
	if isFatal(err) && w.cause == nil {
		w.cause = err
	}
	if w.cause != nil {
		w.s.stop(w.cause) // before the answers, so that the callers find the store stopped
	}
	for _, it := range b.members {
		outcome := it.err
		if err != nil && !isFatal(outcome) {
			outcome = err
		}
		w.answer(it, outcome)
	}
}

// finish answers an item that is in no batch.
func (w *writer) finish(it *item, err error) {
	if isFatal(err) && w.cause == nil {
		w.cause = err
		w.s.stop(err)
	}
	w.answer(it, err)
}

// answer counts an item and gives its caller the outcome.
func (w *writer) answer(it *item, err error) {
	w.count(it, err)
	if isFatal(err) {
		unknown := w.unknown && it.err == nil
		if err = w.s.err; unknown {
			err = fmt.Errorf("%w: %w", ErrIndeterminate, &barePrefix{err})
		}
	}
	it.answer(err)
}

// call runs the item's function and turns a panic into an error.
func (w *writer) call(it *item, tx *Tx) (err error) {
	returned := false
	defer func() {
		w.slow.end()
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
		case it.kind != sweep && w.s.opt.OnPanic == FailCaller:
			w.s.opt.Logger.Error("kvstore: procedure panicked", "path", w.s.path, "panic", v, "stack", string(p.Stack))
			err = p
		default:
			err = &fatalError{p}
		}
	}()
	tx.now = w.s.opt.Clock().UnixMilli()
	w.slow.begin()
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
