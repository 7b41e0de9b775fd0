package storetest

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/kvstore"
)

// Model is a Store of plain maps: slow, and plain enough to be right. It is
// what engines are compared with, and passes the suite itself. It is safe for
// concurrent use, one transaction at a time. Make it with [NewModel].
type Model struct {
	mu     sync.Mutex
	clock  func() time.Time
	closed bool
	tables map[string]modelTable
	news   chan struct{} // closed and replaced when tables or closed change
}

type modelTable struct {
	rows  map[string]kvstore.Entry // present, perhaps expired; values are never changed
	floor uint64                   // lowest counter of the next new entry
}

// NewModel returns an empty model with the tables.
func NewModel(tables []kvstore.Table, clock func() time.Time) *Model {
	m := &Model{clock: clock, tables: map[string]modelTable{}, news: make(chan struct{})}
	for _, t := range tables {
		m.tables[t.Name] = modelTable{rows: map[string]kvstore.Entry{}}
	}
	return m
}

// Execute runs fn on a copy of everything and keeps the copy unless fn fails.
func (m *Model) Execute(_ context.Context, fn func(Tx) error) error {
	return m.transact(func(tx *modelTx) error { return fn(tx) })
}

// View runs fn on the present state.
func (m *Model) View(_ context.Context, fn func(ReadTx) error) error {
	return m.transact(func(tx *modelTx) error { return fn(tx) })
}

// Sweep removes everything that has expired.
func (m *Model) Sweep(context.Context) (int, error) {
	n := 0
	err := m.transact(func(tx *modelTx) error {
		for name, t := range tx.tables {
			for key, e := range t.rows {
				if !tx.visible(e) {
					delete(t.rows, key)
					t.retire(e.Counter)
					n++
				}
			}
			tx.tables[name] = t
		}
		return nil
	})
	return n, err
}

// Close makes later calls fail.
func (m *Model) Close(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.announce()
	return nil
}

func (m *Model) transact(fn func(*modelTx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return kvstore.ErrClosed
	}
	tx := &modelTx{now: m.clock().Truncate(time.Millisecond).UTC(), tables: map[string]modelTable{}}
	for name, t := range m.tables {
		t.rows = maps.Clone(t.rows)
		tx.tables[name] = t
	}
	defer func() { tx.done = true }()
	if err := fn(tx); err != nil {
		return err
	}
	m.tables = tx.tables
	m.announce()
	return nil
}

// announce wakes the watches. m.mu is held.
func (m *Model) announce() {
	close(m.news)
	m.news = make(chan struct{})
}

func (t *modelTable) retire(counter uint64) { t.floor = max(t.floor, counter+1) }

// modelTx is both kinds of transaction.
type modelTx struct {
	now    time.Time
	tables map[string]modelTable
	done   bool
}

func (tx *modelTx) visible(e kvstore.Entry) bool {
	return e.ExpiresAt.IsZero() || !tx.now.After(e.ExpiresAt)
}

// table finds a table or the error of op.
func (tx *modelTx) table(op, name, key string) (modelTable, error) {
	if tx.done {
		return modelTable{}, kvstore.ErrTxDone
	}
	t, ok := tx.tables[name]
	if !ok {
		return t, &kvstore.KeyError{Op: op, Table: name, Key: key, Err: kvstore.ErrNoTable}
	}
	return t, nil
}

// live finds the table and the visible entry of key.
func (tx *modelTx) live(op, name, key string) (t modelTable, e kvstore.Entry, found bool, err error) {
	if t, err = tx.table(op, name, key); err == nil {
		e, found = t.rows[key]
		found = found && tx.visible(e)
	}
	return t, e, found, err
}

func (tx *modelTx) Now() time.Time { return tx.now }

func (tx *modelTx) Get(table, key string) (kvstore.Entry, bool, error) {
	_, e, found, err := tx.live("get", table, key)
	if !found {
		return kvstore.Entry{}, false, err
	}
	e.Value = append([]byte{}, e.Value...)
	return e, true, nil
}

// put writes the entry, over a live one or as a new one.
func (tx *modelTx) put(table, key string, value []byte, options []kvstore.PutOption) uint64 {
	t := tx.tables[table]
	old, present := t.rows[key]
	e := kvstore.Entry{Key: key, Value: append([]byte{}, value...)}
	if present && tx.visible(old) {
		e.Counter, e.ExpiresAt = old.Counter+1, old.ExpiresAt
	} else {
		if present {
			t.retire(old.Counter)
		}
		e.Counter = t.floor
	}
	e.ExpiresAt = kvstore.Expiry(tx.now, e.ExpiresAt, options...)
	t.rows[key] = e
	tx.tables[table] = t
	return e.Counter
}

func (tx *modelTx) Add(table, key string, value []byte, options ...kvstore.PutOption) (uint64, error) {
	_, _, found, err := tx.live("add", table, key)
	switch {
	case err != nil:
		return 0, err
	case found:
		return 0, &kvstore.KeyError{Op: "add", Table: table, Key: key, Err: kvstore.ErrExists}
	}
	return tx.put(table, key, value, options), nil
}

func (tx *modelTx) Update(table, key string, value []byte, counter uint64, options ...kvstore.PutOption) (uint64, error) {
	_, e, found, err := tx.live("update", table, key)
	switch {
	case err != nil:
		return 0, err
	case !found || e.Counter != counter:
		return 0, &kvstore.KeyError{Op: "update", Table: table, Key: key, Err: kvstore.ErrCounterMismatch}
	}
	return tx.put(table, key, value, options), nil
}

func (tx *modelTx) TryUpdate(table, key string, value []byte, counter uint64, options ...kvstore.PutOption) (bool, error) {
	_, e, found, err := tx.live("try update", table, key)
	if err != nil || !found || e.Counter != counter {
		return false, err
	}
	tx.put(table, key, value, options)
	return true, nil
}

func (tx *modelTx) Overwrite(table, key string, value []byte, options ...kvstore.PutOption) (uint64, error) {
	if _, err := tx.table("overwrite", table, key); err != nil {
		return 0, err
	}
	return tx.put(table, key, value, options), nil
}

func (tx *modelTx) Delete(table, key string) (bool, error) {
	t, e, found, err := tx.live("delete", table, key)
	if err != nil || !found {
		return false, err
	}
	delete(t.rows, key)
	t.retire(e.Counter)
	tx.tables[table] = t
	return true, nil
}

func (tx *modelTx) Clear(table string) (n int64, err error) {
	t, err := tx.table("clear", table, "")
	if err != nil {
		return 0, err
	}
	for _, e := range t.rows {
		if tx.visible(e) {
			n++
		}
		t.retire(e.Counter)
	}
	clear(t.rows)
	tx.tables[table] = t
	return n, nil
}

func (tx *modelTx) ListKeys(table string) (keys []string, err error) {
	for key, err := range tx.Keys(table, kvstore.Range{}) {
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (tx *modelTx) Keys(table string, r kvstore.Range) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for e, err := range tx.Entries(table, r) {
			if !yield(e.Key, err) {
				return
			}
		}
	}
}

// Entries looks at the table once, when the loop begins.
func (tx *modelTx) Entries(table string, r kvstore.Range) iter.Seq2[kvstore.Entry, error] {
	return func(yield func(kvstore.Entry, error) bool) {
		t, err := tx.table("list", table, "")
		if err != nil {
			yield(kvstore.Entry{}, err)
			return
		}
		var found []kvstore.Entry
		for key, e := range t.rows {
			if tx.visible(e) && strings.HasPrefix(key, r.Prefix) && key >= r.Start && (r.End == "" || key < r.End) {
				e.Value = append([]byte{}, e.Value...)
				found = append(found, e)
			}
		}
		slices.SortFunc(found, func(a, b kvstore.Entry) int { return cmp.Compare(a.Key, b.Key) })
		if r.Reverse {
			slices.Reverse(found)
		}
		if r.Limit > 0 && len(found) > r.Limit {
			found = found[:r.Limit]
		}
		for _, e := range found {
			if tx.done {
				yield(kvstore.Entry{}, kvstore.ErrTxDone)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}
