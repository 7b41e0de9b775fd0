package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"postern/kvstore"
)

var background = context.Background()

type ours struct{ s *kvstore.Store }

func openOurs(path string) (store, error)   { return openWith(path, kvstore.Options{}) }
func openMapped(path string) (store, error) { return openWith(path, kvstore.Options{MapFile: true}) }

func openWith(path string, o kvstore.Options) (store, error) {
	o.Tables = []kvstore.Table{{Name: "t", SmallValues: true}}
	s, err := kvstore.Open(path, o)
	return ours{s}, err
}

func (o ours) put(key string, value []byte) error {
	_, err := o.s.Overwrite(background, "t", key, value)
	return err
}

func (o ours) get(key string) error {
	_, found, err := o.s.Get(background, "t", key)
	if err == nil && !found {
		err = fmt.Errorf("%s is not there", key)
	}
	return err
}

func (o ours) fill(n int) error {
	for i := 0; i < n; i += 1000 {
		if err := o.s.Execute(background, func(tx *kvstore.Tx) error {
			for k := i; k < min(n, i+1000); k++ {
				if _, err := tx.Overwrite("t", keyOf(k), value); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func (o ours) close() error { return o.s.Close(background) }

// naive is what one writes first: the same engine, binding and form of table, a
// lock, and a transaction with a flush for each operation.
type naive struct {
	mu    sync.Mutex
	c     *sqlite.Conn
	stmts map[string]*sqlite.Stmt
}

func openNaive(path string) (store, error) {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		return nil, err
	}
	c.SetInterrupt(nil)
	for _, sql := range []string{
		"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA temp_store = MEMORY", "PRAGMA cache_size = -64000",
		"CREATE TABLE t (key TEXT PRIMARY KEY, counter INTEGER NOT NULL, expires_at INTEGER NOT NULL, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
	} {
		if err := sqlitex.ExecuteTransient(c, sql, nil); err != nil {
			return nil, err
		}
	}
	return &naive{c: c, stmts: map[string]*sqlite.Stmt{}}, nil
}

func (n *naive) run(sql string, bind func(*sqlite.Stmt)) (row bool, err error) {
	s, err := n.c.Prepare(sql)
	if err != nil {
		return false, err
	}
	if bind != nil {
		bind(s)
	}
	row, err = s.Step()
	s.Reset()
	return row, err
}

// upsert is one write, with a look before it as a counter needs.
func (n *naive) upsert(key string, value []byte) error {
	_, err := n.run(`INSERT INTO t (key, counter, expires_at, value) VALUES (?1, 0, 0, ?2)
		ON CONFLICT (key) DO UPDATE SET counter = counter + 1, value = excluded.value`, func(s *sqlite.Stmt) {
		s.BindText(1, key)
		s.BindBytes(2, value)
	})
	return err
}

func (n *naive) inTransaction(f func() error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := n.run("BEGIN IMMEDIATE", nil); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	_, err := n.run("COMMIT", nil)
	return err
}

func (n *naive) put(key string, value []byte) error {
	return n.inTransaction(func() error { return n.upsert(key, value) })
}

func (n *naive) get(key string) error {
	return n.inTransaction(func() error {
		row, err := n.run(`SELECT counter, expires_at, value FROM t WHERE key = ?1`, func(s *sqlite.Stmt) { s.BindText(1, key) })
		if err == nil && !row {
			err = fmt.Errorf("%s is not there", key)
		}
		return err
	})
}

func (n *naive) fill(count int) error {
	return n.inTransaction(func() error {
		for i := range count {
			if err := n.upsert(keyOf(i), value); err != nil {
				return err
			}
		}
		return nil
	})
}

func (n *naive) close() error { return n.c.Close() }

// bolt is bbolt, which groups writes that come within a millisecond.
type bolt struct{ db *bbolt.DB }

func openBolt(path string) (store, error) {
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		return nil, err
	}
	db.MaxBatchDelay, db.MaxBatchSize = time.Millisecond, 64
	err = db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("t")); return err })
	return bolt{db}, err
}

func (b bolt) put(key string, value []byte) error {
	return b.db.Batch(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("t")).Put([]byte(key), value) })
}

func (b bolt) get(key string) error {
	return b.db.View(func(tx *bbolt.Tx) error {
		v := tx.Bucket([]byte("t")).Get([]byte(key))
		if v == nil {
			return fmt.Errorf("%s is not there", key)
		}
		copied := make([]byte, len(v))
		copy(copied, v)
		return nil
	})
}

func (b bolt) fill(n int) error {
	return b.db.Update(func(tx *bbolt.Tx) error {
		for i := range n {
			if err := tx.Bucket([]byte("t")).Put([]byte(keyOf(i)), value); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b bolt) close() error { return b.db.Close() }
