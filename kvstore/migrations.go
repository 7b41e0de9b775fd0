package kvstore

import (
	"context"
	"fmt"
	"runtime/debug"
)

// runMigrations brings the program's data up to date: it runs those of
// Options.Migrations that the file has not had, each in a transaction of its
// own. It returns the counter floors to go on from. migrate.go does the same
// for the tables themselves.
func (s *Store) runMigrations(c *conn, floors []uint64) ([]uint64, error) {
	if s.opt.existing {
		return floors, nil // a tool knows no program's migrations
	}
	n, err := c.number(`SELECT value FROM kv_meta WHERE name = 'migrations'`)
	if err != nil {
		return nil, err
	}
	had, known := int(n), len(s.opt.Migrations)
	if had > known {
		return nil, fmt.Errorf("the file has had %d migrations and this program knows %d: a newer one wrote it", had, known)
	}
	for i := had; i < known; i++ {
		tx := &Tx{
			ReadTx: ReadTx{s: s, c: c, ctx: context.Background(), now: s.opt.Clock().UnixMilli()},
			floors: counterFloors{base: floors},
		}
		err := c.atomically(func() error {
			if err := tx.outcome(tx.call(s.opt.Migrations[i])); err != nil {
				return err
			}
			if err := saveFloors(c, s.order, floors, tx.floors.committed()); err != nil {
				return engineError("save counters", err)
			}
			return c.query(`INSERT INTO kv_meta (name, value) VALUES ('migrations', ?1)
				ON CONFLICT (name) DO UPDATE SET value = excluded.value`, nil, i+1)
		})
		if err != nil {
			return nil, fmt.Errorf("migration %d of %d: %w", i+1, known, &barePrefix{err})
		}
		floors = tx.floors.committed()
		s.opt.Logger.Info("kvstore: migration done", "path", s.path, "migration", i+1, "of", known)
	}
	return floors, nil
}

// call runs fn and turns a panic into an error: Open must let go of the file.
func (t *Tx) call(fn func(*Tx) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return fn(t)
}
