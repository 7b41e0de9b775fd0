package kvstore

import (
	"fmt"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// busyTimeout is how long a statement waits for a lock that another program
// (a sqlite3 shell, a backup) holds on the file.
const busyTimeout = 5 * time.Second

// Page caches of a connection. // KiB
const (
	writerCache = 64000
	readerCache = 16000
)

// conn is a connection with the statements prepared on it so far. It is used
// by one goroutine at a time. No cancellable context ever reaches the engine:
// an interrupted write rolls back the whole transaction, with everyone in it.
type conn struct {
	db    *sqlite.Conn
	stmts []*sqlite.Stmt // nStatements for each table, nil until needed

	begin, beginRead, commit, rollback *sqlite.Stmt
	savepoint, release, rollbackTo     *sqlite.Stmt
	pin                                *sqlite.Stmt // a read that fixes the snapshot; on readers only
	snapshot                                        // of readers only
}

// openConn opens path and applies the settings that all connections share.
func openConn(path string, flags sqlite.OpenFlags, tables int, cacheKiB int) (*conn, error) {
	db, err := sqlite.OpenConn(path, flags)
	if err != nil {
		return nil, engineError("open", err)
	}
	c := &conn{db: db, stmts: make([]*sqlite.Stmt, tables*int(nStatements))}
	if err := c.setUp(cacheKiB); err != nil {
		db.Close()
		return nil, err
	}
	return c, nil
}

func (c *conn) setUp(cacheKiB int) error {
	c.db.SetInterrupt(nil)
	c.db.SetBusyTimeout(busyTimeout)
	// No SetDefensive: in zombiezen.com/go/sqlite v1.4.2 it passes one of the two
	// arguments that the engine reads, and what happens to stand behind it in memory is
	// taken for an address and written to. No SQL but ours ever runs.
	for _, sql := range []string{
		"PRAGMA trusted_schema = OFF",
		"PRAGMA temp_store = MEMORY", // statement journals stay off the disk
		fmt.Sprintf("PRAGMA cache_size = -%d", cacheKiB),
	} {
		if err := c.exec(sql); err != nil {
			return err
		}
	}
	for _, p := range []struct {
		stmt **sqlite.Stmt
		sql  string
	}{
		{&c.begin, "BEGIN IMMEDIATE"},
		{&c.beginRead, "BEGIN"},
		{&c.commit, "COMMIT"},
		{&c.rollback, "ROLLBACK"},
		{&c.savepoint, "SAVEPOINT kv"},
		{&c.release, "RELEASE kv"},
		{&c.rollbackTo, "ROLLBACK TO kv"},
	} {
		var err error
		if *p.stmt, err = c.db.Prepare(p.sql); err != nil {
			return engineError("open", err)
		}
	}
	return nil
}

// exec runs one statement that is not worth keeping.
func (c *conn) exec(sql string) error { return c.query(sql, nil) }

// query runs one statement that is not worth keeping, and calls row for every
// row.
func (c *conn) query(sql string, row func(*sqlite.Stmt), args ...any) error {
	err := sqlitex.ExecuteTransient(c.db, sql, &sqlitex.ExecOptions{
		Args: args,
		ResultFunc: func(s *sqlite.Stmt) error {
			if row != nil {
				row(s)
			}
			return nil
		},
	})
	if err != nil {
		return engineError(clip(sql), err)
	}
	return nil
}

// number runs a statement whose answer is one integer; no row is 0.
func (c *conn) number(sql string, args ...any) (n int64, err error) {
	err = c.query(sql, func(s *sqlite.Stmt) { n = s.ColumnInt64(0) }, args...)
	return n, err
}

// script runs several statements without results.
func (c *conn) script(sql string) error {
	for sql = strings.TrimSpace(sql); sql != ""; {
		stmt, left, err := c.db.PrepareTransient(sql)
		if err == nil {
			_, err = stmt.Step()
			stmt.Finalize()
		}
		if err != nil {
			return engineError(clip(sql), err)
		}
		sql = strings.TrimSpace(sql[len(sql)-left:])
	}
	return nil
}

// stmt returns the table's statement, prepared on c, reset and unbound.
func (c *conn) stmt(t *table, id statement) (*sqlite.Stmt, error) {
	i := t.index*int(nStatements) + int(id)
	if c.stmts[i] == nil {
		s, err := c.db.Prepare(t.sql[id])
		if err != nil {
			return nil, err
		}
		c.stmts[i] = s
	}
	return c.stmts[i], nil
}

// finish resets s for its next use and lets go of what was bound to it.
func finish(s *sqlite.Stmt) {
	s.Reset()
	s.ClearBindings()
}

// run steps a statement that gives no rows.
func run(s *sqlite.Stmt) error {
	_, err := s.Step()
	s.Reset()
	return err
}

// inTransaction reports whether a transaction is open: the engine may have
// rolled it back by itself.
func (c *conn) inTransaction() bool { return !c.db.AutocommitEnabled() }

func (c *conn) close() error { return c.db.Close() }

// engineError translates an error of the engine: nothing outside sees its
// types. Errors after which the file cannot be trusted come back fatal.
func engineError(doing string, err error) error {
	code := sqlite.ErrCode(err)
	switch {
	case refusedWrite(code):
		return fmt.Errorf("%w: %s: %v", ErrFull, doing, err)
	case code.ToPrimary() == sqlite.ResultTooBig:
		return fmt.Errorf("%w: %s: %v", ErrTooLarge, doing, err)
	case code.ToPrimary() == sqlite.ResultCorrupt, code.ToPrimary() == sqlite.ResultNotADB:
		return &fatalError{fmt.Errorf("%w: %s: %v", ErrCorrupt, doing, err)}
	case code.ToPrimary() == sqlite.ResultIOErr && code != sqlite.ResultIOErrNoMem:
		return &fatalError{fmt.Errorf("kvstore: %s: %v", doing, err)}
	}
	return fmt.Errorf("kvstore: %s: %v", doing, err)
}

// refusedWrite reports whether code says that bytes did not get into the file.
// The engine rolls such a transaction back completely, during COMMIT too.
func refusedWrite(code sqlite.ResultCode) bool {
	return code.ToPrimary() == sqlite.ResultFull || code == sqlite.ResultIOErrWrite
}

// commitUnknown reports whether a COMMIT that failed with code may have
// reached the file all the same. A failed flush leaves the frames in the log,
// and recovery after a crash may find them whole.
func commitUnknown(code sqlite.ResultCode) bool {
	if refusedWrite(code) || code == sqlite.ResultIOErrNoMem {
		return false
	}
	switch code.ToPrimary() {
	case sqlite.ResultIOErr, sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return true
	}
	return false
}
