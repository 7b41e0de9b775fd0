package storetest

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"postern/kvstore"
)

// Watch is WatchPages entry by entry.
func (m *Model) Watch(ctx context.Context, table, prefix string) iter.Seq2[kvstore.Entry, error] {
	return func(yield func(kvstore.Entry, error) bool) {
		for page, err := range m.WatchPages(ctx, table, kvstore.Range{Prefix: prefix}, 0) {
			if err != nil {
				yield(kvstore.Entry{}, err)
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

// WatchPages compares the whole table with what it was, after every change of
// anything.
func (m *Model) WatchPages(ctx context.Context, table string, r kvstore.Range, idle time.Duration) iter.Seq2[[]kvstore.Entry, error] {
	return func(yield func([]kvstore.Entry, error) bool) {
		var before map[string]kvstore.Entry // nil: the first look
		for {
			rows, news, err := m.look(table)
			if err != nil {
				yield(nil, err)
				return
			}
			page := changes(before, rows, r, m.clock())
			if (before == nil || len(page) > 0) && !yield(page, nil) {
				return
			}
			before = rows
			var silence <-chan time.Time
			if idle > 0 {
				silence = time.After(idle)
			}
			for waiting := true; waiting; {
				select {
				case <-news:
					waiting = false
				case <-silence:
					if silence = time.After(idle); !yield(nil, nil) {
						return
					}
				case <-ctx.Done():
					yield(nil, ctx.Err())
					return
				}
			}
		}
	}
}

// look returns the rows of the table, never to be changed, and a channel that is
// closed at the next change of anything.
func (m *Model) look(table string) (rows map[string]kvstore.Entry, news chan struct{}, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tables[table]
	switch {
	case m.closed:
		return nil, nil, kvstore.ErrClosed
	case !ok:
		return nil, nil, &kvstore.KeyError{Op: "watch", Table: table, Err: kvstore.ErrNoTable}
	}
	return t.rows, m.news, nil
}

// changes returns the entries of the range that were written or removed between
// before and after, in order; all that are there if before is nil.
func changes(before, after map[string]kvstore.Entry, r kvstore.Range, now time.Time) (page []kvstore.Entry) {
	keys := maps.Clone(before)
	if keys == nil {
		keys = map[string]kvstore.Entry{}
	}
	maps.Copy(keys, after)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !strings.HasPrefix(key, r.Prefix) || key < r.Start || r.End != "" && key >= r.End {
			continue
		}
		old, was := before[key]
		e, is := after[key]
		live := is && (e.ExpiresAt.IsZero() || !now.Truncate(time.Millisecond).After(e.ExpiresAt))
		switch {
		case was == is && old.Counter == e.Counter:
		case live:
			e.Value = append([]byte{}, e.Value...)
			page = append(page, e)
		case before != nil:
			page = append(page, kvstore.Entry{Key: key})
		}
	}
	return page
}
