package kvstore

import (
	"context"
	"fmt"

	"zombiezen.com/go/sqlite"
)

// LimitPages makes the file (or memory) full at n pages more than it has, for
// tests of a full disk; n < 0 lifts the limit.
func (s *Store) LimitPages(ctx context.Context, n int64) error {
	return s.Execute(ctx, func(tx *Tx) error {
		pages, err := tx.c.number("PRAGMA page_count")
		if err != nil {
			return err
		}
		if n < 0 {
			pages, n = 1<<31, 0
		}
		return tx.c.exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages+n))
	})
}

// Number runs SQL with one integer as its answer, on the writer's connection.
func (s *Store) Number(ctx context.Context, sql string) (int64, error) {
	return Execute(ctx, s, func(tx *Tx) (int64, error) { return tx.c.number(sql) })
}

// MappedBytes is how much of the file the View's connection may map.
func (t *ReadTx) MappedBytes() (int64, error) { return t.c.number("PRAGMA mmap_size") }

// BreakEngine makes tx fail as if the engine had said code, and returns the
// error that the operation would have returned.
func (t *Tx) BreakEngine(code sqlite.ResultCode) error { return t.fail("test", code.ToError()) }

// What a failed COMMIT means, by the engine's code.
var (
	CommitUnknown = commitUnknown
	EngineError   = engineError
	IsFatal       = isFatal
)

// Plans returns the engine's query plan for every statement of every table.
func (s *Store) Plans(ctx context.Context) (plans map[string]string, err error) {
	plans = map[string]string{}
	err = s.Execute(ctx, func(tx *Tx) error {
		for _, tb := range s.order {
			for _, text := range tb.sql {
				stmt, _, err := tx.c.db.PrepareTransient("EXPLAIN QUERY PLAN " + text)
				if err != nil {
					return err
				}
				for row, err := stmt.Step(); row && err == nil; row, err = stmt.Step() {
					plans[text] += stmt.ColumnText(3) + "\n"
				}
				if err := stmt.Finalize(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return plans, err
}

// Path returns the name under which the file was opened.
func (s *Store) Path() string { return s.path }

// WaitingViews is how many Views wait for a connection.
func (s *Store) WaitingViews() int { return int(s.readers.waiting.Load()) }
