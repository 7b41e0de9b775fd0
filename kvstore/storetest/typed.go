package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"postern/kvstore"
)

type point struct{ X, Y int }

var points = kvstore.NewTyped("plain", kvstore.JSON[point]())

// testTyped: a Typed over the engine's transactions is the engine's own
// operations with values coded.
func testTyped(t *testing.T, h *harness) {
	h.execute(func(tx Tx) error {
		return all(
			expect("add", 0)(points.Add(tx, "a", point{1, 2}, kvstore.TTL(time.Hour))),
			expect("update", 1)(points.Update(tx, "a", point{3, 4}, 0)),
			expect("overwrite", 0)(points.Overwrite(tx, "b", point{5, 6})),
		)
	})
	h.execute(func(tx Tx) error {
		won, err := points.TryUpdate(tx, "b", point{7, 8}, 9)
		if won || err != nil {
			return fmt.Errorf("try update: %v %v, want a lost race", won, err)
		}
		if won, err = points.TryUpdate(tx, "b", point{7, 8}, 0); !won || err != nil {
			return fmt.Errorf("try update: %v %v, want it done", won, err)
		}
		_, err = points.Add(tx, "a", point{})
		if !errors.Is(err, kvstore.ErrExists) {
			return fmt.Errorf("add: %v, want %v", err, kvstore.ErrExists)
		}
		_, err = points.Update(tx, "a", point{}, 0)
		if !errors.Is(err, kvstore.ErrCounterMismatch) {
			return fmt.Errorf("update: %v, want %v", err, kvstore.ErrCounterMismatch)
		}
		return nil
	})
	if got, want := h.get("plain", "b"), `{"X":7,"Y":8} #1`; got != want {
		t.Errorf("stored: %s, want %s", got, want)
	}
	h.view(func(tx ReadTx) error {
		e, found, err := points.Get(tx, "a")
		if err != nil || !found || e.Key != "a" || e.Value != (point{3, 4}) || e.Counter != 1 || !e.ExpiresAt.Equal(start.Add(time.Hour)) {
			return fmt.Errorf("get: %+v %v %v", e, found, err)
		}
		if e, found, err = points.Get(tx, "none"); found || err != nil {
			return fmt.Errorf("absent: %+v %v %v", e, found, err)
		}
		listed := ""
		for e, err := range points.Entries(tx, kvstore.Range{Reverse: true}) {
			if err != nil {
				return err
			}
			listed += fmt.Sprintf("%s%v #%d ", e.Key, e.Value, e.Counter)
		}
		if want := "b{7 8} #1 a{3 4} #1 "; listed != want {
			return fmt.Errorf("listed %s, want %s", listed, want)
		}
		for _, err := range points.Entries(tx, kvstore.Range{}) {
			if err != nil {
				return err
			}
			break
		}
		return nil
	})
	h.execute(func(tx Tx) error {
		found, err := points.Delete(tx, "b")
		if !found || err != nil {
			return fmt.Errorf("delete: %v %v", found, err)
		}
		return nil
	})
}

// testModify: reading, changing and writing in one call; what goes wrong in it
// leaves the entry and the transaction alone.
func testModify(t *testing.T, h *harness) {
	mine := errors.New("no")
	h.execute(func(tx Tx) error {
		return all(
			expect("add", 0)(points.Add(tx, "a", point{1, 2}, kvstore.TTL(time.Hour))),
			expect("modify", 1)(points.Modify(tx, "a", func(p *point) error { p.X = 9; return nil })),
			expect("modify to the same", 2)(points.Modify(tx, "a", func(*point) error { return nil })),
			expect("add", 0)(points.Add(tx, "short", point{}, kvstore.TTL(time.Second))),
		)
	})
	h.clock.advance(time.Minute)
	h.execute(func(tx Tx) error {
		_, err := points.Modify(tx, "a", func(p *point) error { p.X = 0; return mine })
		if err != mine {
			return fmt.Errorf("modify: %v, want the function's own error", err)
		}
		for _, key := range []string{"absent", "short"} {
			_, err := points.Modify(tx, key, func(*point) error { return errors.New("called") })
			if !errors.Is(err, kvstore.ErrCounterMismatch) {
				return fmt.Errorf("modify %s: %v, want %v", key, err, kvstore.ErrCounterMismatch)
			}
		}
		e, _, err := points.Get(tx, "a")
		if err != nil || e.Value != (point{9, 2}) || e.Counter != 2 || !e.ExpiresAt.Equal(start.Add(time.Hour)) {
			return fmt.Errorf("afterwards: %+v %v, want {9 2} at 2 with its expiry", e, err)
		}
		return expect("modify", 3)(points.Modify(tx, "a", func(*point) error { return nil }, kvstore.Persist()))
	})
	h.view(func(tx ReadTx) error {
		if e, _, err := points.Get(tx, "a"); err != nil || !e.ExpiresAt.IsZero() {
			return fmt.Errorf("persisted: %+v %v", e, err)
		}
		return nil
	})
}
