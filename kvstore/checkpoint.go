package kvstore

import "time"

const (
	// idleDelay without a commit makes it a good time for a checkpoint of at
	// least idlePages, which nobody then waits for.
	idleDelay = 100 * time.Millisecond
	idlePages = 1000

	// retryPages is how far the log grows before another attempt when readers
	// stood in the way of a checkpoint, if Options.CheckpointPages is not less.
	retryPages = 1000

	// readersTimeout is how long a checkpoint waits for Views to end, while new
	// ones wait for it. Those that still read from the log then keep it from
	// starting over, nothing worse.
	readersTimeout = 20 * time.Millisecond
)

// checkpointIfDue looks at the log after a commit. The engine's own automatic
// checkpoint is off: it would run inside somebody's COMMIT, every 1000 pages.
func (w *writer) checkpointIfDue() {
	limit := w.s.opt.CheckpointPages
	if !w.file || limit < 0 {
		return
	}
	pages, carried, _, err := w.logState("NOOP")
	if err != nil {
		w.checkpointFailed(err)
		return
	}
	w.s.stats.logPages.Store(int64(pages))
	if pages < w.retryAt-w.retryStep() {
		w.retryAt = 0 // it has started over
	}
	switch {
	case pages == carried:
	case pages >= max(limit, w.retryAt):
		w.checkpoint()
	case pages >= min(limit, idlePages):
		w.idle.Reset(idleDelay)
	}
}

// checkpoint carries the log over into the file, so that the next commit
// starts it over. When Views keep that from happening it is tried again later.
func (w *writer) checkpoint() {
	w.idle.Stop()
	if r := w.s.readers; r != nil {
		defer r.pause(readersTimeout)()
	}
	w.c.db.SetBusyTimeout(0)
	pages, carried, busy, err := w.logState("RESTART")
	w.c.db.SetBusyTimeout(busyTimeout)
	if err != nil {
		w.checkpointFailed(err)
		w.retryAt = int(w.s.stats.logPages.Load()) + w.retryStep()
		return
	}
	if busy || pages != carried {
		w.retryAt = pages + w.retryStep()
		if age := w.s.opt.MaxViewAge; age >= 0 && w.s.readers != nil && pages >= 2*w.s.opt.CheckpointPages {
			w.s.readers.hurry(age)
		}
		return
	}
	w.retryAt = 0
	w.s.stats.checkpoints.Add(1)
}

func (w *writer) retryStep() int { return min(retryPages, w.s.opt.CheckpointPages) }

// checkpointFailed handles an error that no caller asked for. A full disk
// leaves everything in the log and may get better; others stop the store.
func (w *writer) checkpointFailed(err error) {
	err = engineError("checkpoint", err)
	if isFatal(err) {
		w.cause = err
		w.s.stop(err)
		return
	}
	w.s.opt.Logger.Warn("kvstore: checkpoint failed", "path", w.s.path, "error", err)
}

// logState runs a checkpoint of the mode, where NOOP does nothing, and returns
// the length of the log in pages, how many of them are in the file too, and
// whether a reader was in the way.
func (w *writer) logState(mode string) (pages, carried int, busy bool, err error) {
	stmt, err := w.c.db.Prepare("PRAGMA wal_checkpoint(" + mode + ")")
	if err != nil {
		return 0, 0, false, err
	}
	defer stmt.Reset()
	if _, err := stmt.Step(); err != nil {
		return 0, 0, false, err
	}
	return stmt.ColumnInt(1), stmt.ColumnInt(2), stmt.ColumnBool(0), nil
}
