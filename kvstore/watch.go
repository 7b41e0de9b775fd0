package kvstore

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Watch iterates over the entries of the table whose keys begin with prefix: first
// over all that are there, in the order of their keys, then for ever over those that
// were changed, each with its latest state. A removed entry has a nil Value, and
// only its Key besides; an expired one counts as removed when the sweeper has found
// it. Every change is followed by an iteration that shows it or something newer, but
// not every change has one of its own: who is slow sees the last state and not the
// ones between. It never holds the writer up.
//
// The loop's body runs outside any transaction and may use the store. A failure is
// yielded as the last pair: the context's error, [ErrClosed], [ErrStopped],
// [ErrNoTable] and those of View.
func (s *Store) Watch(ctx context.Context, table, prefix string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for page, err := range s.WatchPages(ctx, table, Range{Prefix: prefix}, 0) {
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// WatchPages is Watch for a range of keys, page by page: what there is to tell comes
// at once, so that it can be sent at once. The first page comes even if it is empty:
// nothing is there. An empty one after it says that nothing was changed for as long
// as idle, which is a moment to see whether anybody still listens; with an idle of
// zero or less none comes. A page is the caller's, and ends at about 256 KiB.
//
// Reverse and Limit of the range are ignored.
func (s *Store) WatchPages(ctx context.Context, table string, r Range, idle time.Duration) iter.Seq2[[]Entry, error] {
	return func(yield func([]Entry, error) bool) {
		w := &watcher{changed: make(map[string]struct{}), news: make(chan struct{}, 1)}
		w.start, w.end = r.bounds()
		// Registered between procedures: what is committed before, the first look
		// finds, and what comes after is noted.
		err := s.Execute(ctx, func(tx *Tx) error {
			tb, err := tx.enter("watch", table, "")
			if err == nil {
				s.watchers.add(tb, w)
				tx.watched = true
			}
			return err
		})
		defer s.watchers.remove(w)
		if err == nil {
			err = s.showPresent(ctx, w, table, yield)
		}
		if err == nil {
			err = s.showChanges(ctx, w, table, idle, yield)
		}
		if err != errBreak {
			yield(nil, err)
		}
	}
}

// errBreak says that the loop's body has had enough.
var errBreak = fmt.Errorf("kvstore: break")

// watchBytes ends a page of a watch: it is what a slow reader makes us keep.
const watchBytes = 256 << 10 // of keys and values

// showPresent yields what is there.
func (s *Store) showPresent(ctx context.Context, w *watcher, table string, yield func([]Entry, error) bool) error {
	r := Range{Start: w.start, End: w.end, Limit: pageRows}
	for first, more := true, true; more; first = false {
		more = false
		page, err := View(ctx, s, func(tx *ReadTx) (page []Entry, err error) {
			size := 0
			for e, err := range tx.Entries(table, r) {
				if err != nil {
					return nil, err
				}
				page = append(page, e)
				if size += len(e.Key) + len(e.Value); size >= watchBytes {
					break
				}
			}
			more = size >= watchBytes || len(page) == pageRows
			return page, nil
		})
		if err != nil {
			return err
		}
		if more {
			r.Start = page[len(page)-1].Key + "\x00"
		}
		if (first || len(page) > 0) && !yield(page, nil) {
			return errBreak
		}
	}
	return nil
}

// showChanges yields what is changed, until something goes wrong.
func (s *Store) showChanges(ctx context.Context, w *watcher, table string, idle time.Duration, yield func([]Entry, error) bool) error {
	silence := time.NewTimer(time.Hour)
	silence.Stop()
	defer silence.Stop()
	for {
		if idle > 0 {
			silence.Reset(idle)
		}
		select {
		case <-w.news:
		case <-silence.C:
			if !yield(nil, nil) {
				return errBreak
			}
			continue
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closing:
			return s.refusal()
		case <-s.stopped:
			return s.refusal()
		}
		for keys := w.take(); len(keys) > 0; {
			page, err := s.latest(ctx, table, keys)
			if err != nil {
				return err
			}
			keys = keys[len(page):]
			if !yield(page, nil) {
				return errBreak
			}
		}
	}
}

// latest reads a page of the keys; one that is absent has a nil Value.
func (s *Store) latest(ctx context.Context, table string, keys []string) ([]Entry, error) {
	return View(ctx, s, func(tx *ReadTx) ([]Entry, error) {
		var page []Entry
		for size := 0; len(page) < min(len(keys), pageRows) && size < watchBytes; {
			key := keys[len(page)]
			e, found, err := tx.Get(table, key)
			if err != nil {
				return nil, err
			}
			if !found {
				e = Entry{Key: key}
			}
			page = append(page, e)
			size += len(e.Key) + len(e.Value)
		}
		return page, nil
	})
}

// watcher is one Watch: what has changed since it last looked.
type watcher struct {
	table      *table
	start, end string // of its range; an empty end is none

	mu      sync.Mutex
	changed map[string]struct{}
	news    chan struct{} // holds a token while there are changes
}

func (w *watcher) wants(tb *table, key string) bool {
	return tb == w.table && key >= w.start && (w.end == "" || key < w.end)
}

func (w *watcher) note(key string) {
	w.mu.Lock()
	w.changed[key] = struct{}{}
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// take returns the keys that have changed, in order, and forgets them.
func (w *watcher) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys := make([]string, 0, len(w.changed))
	for key := range w.changed {
		keys = append(keys, key)
	}
	clear(w.changed)
	slices.Sort(keys)
	return keys
}

// watchers are those of a store. The storage goroutine adds and tells, callers
// remove.
type watchers struct {
	count atomic.Int32
	mu    sync.Mutex
	all   []*watcher
}

func (ws *watchers) add(tb *table, w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if w.table = tb; !slices.Contains(ws.all, w) { // a procedure may run twice
		ws.all = append(ws.all, w)
		ws.count.Add(1)
	}
}

func (ws *watchers) remove(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if i := slices.Index(ws.all, w); i >= 0 {
		ws.all = slices.Delete(ws.all, i, i+1)
		ws.count.Add(-1)
	}
}

// publish tells what a committed batch has changed.
func (ws *watchers) publish(changes []change) {
	if len(changes) == 0 {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, w := range ws.all {
		for _, c := range changes {
			if w.wants(c.table, c.key) {
				w.note(c.key)
			}
		}
	}
}

// wants reports whether anyone watches the key.
func (ws *watchers) wants(tb *table, key string) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return slices.ContainsFunc(ws.all, func(w *watcher) bool { return w.wants(tb, key) })
}

// change is a key that a procedure wrote or removed.
type change struct {
	table *table
	key   string
}

// changed notes that the procedure has written or removed a key.
func (t *Tx) changed(tb *table, key string) {
	if t.watched {
		t.changes = append(t.changes, change{tb, key})
	}
}

// clearing notes the keys that a Clear is about to remove, as far as anyone wants
// to know.
func (t *Tx) clearing(tb *table) error {
	if !t.watched {
		return nil
	}
	// Expired ones too: the sweeper, which would tell, will not find them any more.
	defer func(now int64) { t.now = now }(t.now)
	t.now = 0
	for key, err := range t.Keys(tb.Name, Range{}) {
		if err != nil {
			return err
		}
		if t.s.watchers.wants(tb, key) {
			t.changed(tb, key)
		}
	}
	return nil
}
