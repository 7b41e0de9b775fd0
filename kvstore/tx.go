package kvstore

import (
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"
)

// Entry is one key of a table as a transaction sees it.
type Entry struct {
	Key       string
	Value     []byte    // a copy, the caller's to keep and change; never nil in an entry that was found
	Counter   uint64    // see the package's section on counters
	ExpiresAt time.Time // UTC, whole milliseconds, last instant of life; zero: never
}

// ReadTx reads tables as they are at one moment. It belongs to the function it
// was handed to, and to that function's goroutine: after the function has
// returned everything answers [ErrTxDone].
//
// When an operation fails because of the engine, the context or Close, every
// later one gives the same error, and the transaction fails with it even if
// the function returns nil. Errors about one key or table (a [KeyError]) leave
// it usable.
type ReadTx struct {
	s     *Store
	c     *conn
	ctx   context.Context
	now   int64 // milliseconds since the Unix epoch
	fault error // first failure that is not the caller's choice
	done  bool
}

// Tx is a ReadTx that also writes. A helper that only reads takes a *ReadTx
// and is called with &tx.ReadTx.
type Tx struct {
	ReadTx
	floors  counterFloors
	watched bool     // someone wants to know the changes
	changes []change // of this batch, up to here
}

// Now is the time of the transaction, in UTC and whole milliseconds. It stays
// the same until the function returns, and expiry is judged by it.
func (t *ReadTx) Now() time.Time { return time.UnixMilli(t.now).UTC() }

// Get returns the entry of key, or false when there is none. Errors:
// [ErrNoTable] and those of ReadTx.
func (t *ReadTx) Get(table, key string) (Entry, bool, error) {
	tb, err := t.enter("get", table, key)
	if err != nil {
		return Entry{}, false, err
	}
	stmt, err := t.c.stmt(tb, stmtGet)
	if err != nil {
		return Entry{}, false, t.fail("get", err)
	}
	defer stmt.Reset() // the next key replaces the binding
	stmt.BindText(1, key)
	found, err := stmt.Step()
	if err != nil {
		return Entry{}, false, t.fail("get", err)
	}
	if !found || !t.visible(stmt.ColumnInt64(1)) {
		return Entry{}, false, nil
	}
	return entry(key, stmt, 0), true, nil
}

// entry reads counter, expires_at and value from the columns at col.
func entry(key string, stmt *sqlite.Stmt, col int) Entry {
	e := Entry{
		Key:       key,
		Counter:   uint64(stmt.ColumnInt64(col)),
		ExpiresAt: expiryTime(stmt.ColumnInt64(col + 1)),
		Value:     make([]byte, stmt.ColumnLen(col+2)),
	}
	stmt.ColumnBytes(col+2, e.Value)
	return e
}

// Add writes a new entry and returns its counter. Errors: [ErrExists] when the
// key is there, [ErrTooLarge], [ErrNoTable] and those of ReadTx. The value is
// copied.
func (t *Tx) Add(table, key string, value []byte, options ...PutOption) (counter uint64, err error) {
	tb, r, err := t.lookUp("add", table, key, value)
	if err != nil {
		return 0, err
	}
	if r.live {
		return 0, &KeyError{"add", table, key, ErrExists}
	}
	return t.put("add", tb, key, value, r, options)
}

// Update replaces the value of an entry whose counter is still the one given,
// and returns the new counter. Errors: [ErrCounterMismatch] when the entry was
// changed or is absent, [ErrTooLarge], [ErrNoTable] and those of ReadTx. The
// value is copied.
func (t *Tx) Update(table, key string, value []byte, counter uint64, options ...PutOption) (uint64, error) {
	tb, r, err := t.lookUp("update", table, key, value)
	if err != nil {
		return 0, err
	}
	if !r.live || r.counter != counter {
		return 0, &KeyError{"update", table, key, ErrCounterMismatch}
	}
	return t.put("update", tb, key, value, r, options)
}

// TryUpdate is Update where losing is no error: it reports whether the entry
// had that counter and was replaced.
func (t *Tx) TryUpdate(table, key string, value []byte, counter uint64, options ...PutOption) (bool, error) {
	tb, r, err := t.lookUp("try update", table, key, value)
	if err != nil || !r.live || r.counter != counter {
		return false, err
	}
	_, err = t.put("try update", tb, key, value, r, options)
	return err == nil, err
}

// Overwrite writes an entry, new or not, whatever was there before, and
// returns its counter. Errors: [ErrTooLarge], [ErrNoTable] and those of
// ReadTx. The value is copied.
func (t *Tx) Overwrite(table, key string, value []byte, options ...PutOption) (counter uint64, err error) {
	tb, r, err := t.lookUp("overwrite", table, key, value)
	if err != nil {
		return 0, err
	}
	return t.put("overwrite", tb, key, value, r, options)
}

// Delete removes the entry of key and reports whether there was one. Errors:
// [ErrNoTable] and those of ReadTx.
func (t *Tx) Delete(table, key string) (bool, error) {
	tb, r, err := t.lookUp("delete", table, key, nil)
	if err != nil || !r.live {
		return false, err
	}
	stmt, err := t.c.stmt(tb, stmtDelete)
	if err != nil {
		return false, t.fail("delete", err)
	}
	defer finish(stmt)
	stmt.BindText(1, key)
	if _, err := stmt.Step(); err != nil {
		return false, t.fail("delete", err)
	}
	t.floors.retire(tb, r.counter)
	t.changed(tb, key)
	return true, nil
}

// Clear removes all entries of the table and returns how many there were. It
// reads the whole table. Errors: [ErrNoTable] and those of ReadTx.
func (t *Tx) Clear(table string) (int64, error) {
	tb, err := t.enter("clear", table, "")
	if err != nil {
		return 0, err
	}
	tally, err := t.c.stmt(tb, stmtTally)
	if err != nil {
		return 0, t.fail("clear", err)
	}
	defer finish(tally)
	tally.BindInt64(1, t.now)
	if _, err := tally.Step(); err != nil {
		return 0, t.fail("clear", err)
	}
	n, highest := tally.ColumnInt64(0), tally.ColumnInt64(1)
	if highest < 0 {
		return 0, nil // nothing there, not even expired
	}
	tally.Reset()
	if err := t.clearing(tb); err != nil {
		return 0, err
	}

	stmt, err := t.c.stmt(tb, stmtClear)
	if err != nil {
		return 0, t.fail("clear", err)
	}
	if err := run(stmt); err != nil {
		return 0, t.fail("clear", err)
	}
	t.floors.retire(tb, uint64(highest))
	return n, nil
}

// row is what a write must know about the entry it replaces.
type row struct {
	present   bool // there is a row, though it may have expired
	live      bool // there is one and it is visible
	counter   uint64
	expiresAt int64 // milliseconds since the Unix epoch; <= 0: never
}

// lookUp begins a write: it checks the arguments and finds the present row.
func (t *Tx) lookUp(op, table, key string, value []byte) (*table, row, error) {
	tb, err := t.enter(op, table, key)
	if err != nil {
		return nil, row{}, err
	}
	if len(value) > t.s.opt.MaxValue || len(key)+len(value) > maxRecord {
		return nil, row{}, &KeyError{op, table, key, ErrTooLarge}
	}
	stmt, err := t.c.stmt(tb, stmtHead)
	if err != nil {
		return nil, row{}, t.fail(op, err)
	}
	defer finish(stmt)
	stmt.BindText(1, key)
	present, err := stmt.Step()
	if err != nil {
		return nil, row{}, t.fail(op, err)
	}
	if !present {
		return tb, row{}, nil
	}
	r := row{present: true, counter: uint64(stmt.ColumnInt64(0)), expiresAt: stmt.ColumnInt64(1)}
	r.live = t.visible(r.expiresAt)
	return tb, r, nil
}

// put writes the entry over r and returns its counter. An expired row counts
// as deleted and added again.
func (t *Tx) put(op string, tb *table, key string, value []byte, r row, options []PutOption) (uint64, error) {
	expiry := expiry{now: t.now}
	counter := r.counter + 1
	if r.live {
		expiry.at = r.expiresAt
	} else {
		if r.present {
			t.floors.retire(tb, r.counter)
		}
		counter = t.floors.of(tb)
	}
	for _, option := range options {
		option(&expiry)
	}

	id := stmtInsert
	if r.present {
		id = stmtUpdate
	}
	stmt, err := t.c.stmt(tb, id)
	if err != nil {
		return 0, t.fail(op, err)
	}
	defer finish(stmt)
	stmt.BindText(1, key)
	stmt.BindInt64(2, int64(counter))
	stmt.BindInt64(3, expiry.at)
	stmt.BindBytes(4, value)
	if _, err := stmt.Step(); err != nil {
		return 0, t.fail(op, err)
	}
	t.changed(tb, key)
	return counter, nil
}

// enter begins every operation: it reports why the transaction cannot be used
// (any more), or finds the table.
func (t *ReadTx) enter(op, table, key string) (*table, error) {
	if err := t.usable(); err != nil {
		return nil, err
	}
	tb := t.s.tables[table]
	if tb == nil {
		return nil, &KeyError{op, table, key, ErrNoTable}
	}
	if len(key) > maxRecord {
		return nil, &KeyError{op, table, key, ErrTooLarge}
	}
	return tb, nil
}

func (t *ReadTx) usable() error {
	switch {
	case t.s == nil || t.done:
		return ErrTxDone
	case t.fault != nil:
		return t.fault
	case t.s.cutOff():
		t.fault = ErrClosed
	case t.c.tooOld.Load():
		t.fault = ErrViewTooOld
	case t.ctx.Err() != nil:
		t.fault = fmt.Errorf("kvstore: transaction cancelled: %w", t.ctx.Err())
	}
	return t.fault
}

// visible reports whether an entry with that expires_at is there at t.now.
func (t *ReadTx) visible(expiresAt int64) bool { return expiresAt <= 0 || t.now <= expiresAt }

// fail records a failure of the engine, which the transaction cannot survive.
func (t *ReadTx) fail(op string, err error) error {
	t.fault = engineError(op, err)
	return t.fault
}
