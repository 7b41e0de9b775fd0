package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"postern/kvstore"
)

func testSwallow(t *testing.T, h *harness) {
	h.execute(func(tx Tx) error {
		if err := expect("add", 0)(tx.Add("plain", "k", []byte("before"))); err != nil {
			return err
		}
		if _, err := tx.Add("plain", "k", nil); !errors.Is(err, kvstore.ErrExists) {
			return fmt.Errorf("add again: %v, want ErrExists", err)
		}
		if _, err := tx.Update("plain", "k", nil, 99); !errors.Is(err, kvstore.ErrCounterMismatch) {
			return fmt.Errorf("update: %v, want ErrCounterMismatch", err)
		}
		if _, err := tx.Overwrite("none", "k", nil); !errors.Is(err, kvstore.ErrNoTable) {
			return fmt.Errorf("overwrite: %v, want ErrNoTable", err)
		}
		return expect("add", 0)(tx.Add("plain", "later", []byte("after")))
	})
	if a, b := h.get("plain", "k"), h.get("plain", "later"); a != "before #0" || b != "after #0" {
		t.Errorf("got %s and %s, want both as written", a, b)
	}
}

// tradeError is an error type of an application.
type tradeError struct{ reason string }

func (e *tradeError) Error() string { return e.reason }

func testProcedureError(t *testing.T, h *harness) {
	h.execute(func(tx Tx) error {
		_, err := tx.Add("plain", "k", []byte("kept"), kvstore.TTL(time.Hour))
		return err
	})
	cause := &tradeError{"sold out"}
	err := h.store.Execute(h.ctx, func(tx Tx) error {
		return all(
			expect("overwrite", 1)(tx.Overwrite("plain", "k", []byte("lost"))),
			expect("add", 0)(tx.Add("Order", "k", nil)),
			func() error {
				_, err := tx.Delete("plain", "k")
				return err
			}(),
			cause,
		)
	})
	if err != error(cause) {
		t.Errorf("execute: %#v, want the very error of the procedure", err)
	}
	err = h.store.View(h.ctx, func(ReadTx) error { return cause })
	if err != error(cause) {
		t.Errorf("view: %#v, want the very error of the function", err)
	}
	// Counters that were not committed are not gone either.
	if a, b := h.get("plain", "k"), h.get("Order", "k"); a != "kept #0" || b != "absent" {
		t.Errorf("got %s and %s, want the state before", a, b)
	}
	h.execute(func(tx Tx) error { return expect("add", 0)(tx.Add("plain", "fresh", nil)) })
}

func testNoTable(t *testing.T, h *harness) {
	h.execute(func(tx Tx) error {
		// Names are compared byte by byte; what looks like SQL is a name too.
		for _, table := range []string{"none", "", "PLAIN", "order", `plain"; DROP TABLE plain; --`} {
			var errs [9]error
			_, _, errs[0] = tx.Get(table, "k")
			_, errs[1] = tx.Add(table, "k", nil)
			_, errs[2] = tx.Update(table, "k", nil, 0)
			_, errs[3] = tx.TryUpdate(table, "k", nil, 0)
			_, errs[4] = tx.Overwrite(table, "k", nil)
			_, errs[5] = tx.Delete(table, "k")
			_, errs[6] = tx.Clear(table)
			_, errs[7] = tx.ListKeys(table)
			for _, err := range tx.Entries(table, kvstore.Range{}) {
				errs[8] = err
			}
			for i, err := range errs {
				var key *kvstore.KeyError
				if !errors.Is(err, kvstore.ErrNoTable) || !errors.As(err, &key) || key.Table != table {
					return fmt.Errorf("operation %d on table %q: %v, want a KeyError of ErrNoTable", i, table, err)
				}
			}
		}
		return nil
	})
}

func testTxDone(t *testing.T, h *harness) {
	var tx Tx
	var rtx ReadTx
	h.execute(func(inside Tx) error {
		tx = inside
		return expect("add", 0)(tx.Add("plain", "k", nil))
	})
	h.view(func(inside ReadTx) error {
		rtx = inside
		return nil
	})
	var errs [4]error
	_, _, errs[0] = tx.Get("plain", "k")
	_, errs[1] = tx.Overwrite("plain", "k", []byte("late"))
	_, errs[2] = tx.Clear("plain")
	_, _, errs[3] = rtx.Get("plain", "k")
	for i, err := range errs {
		if !errors.Is(err, kvstore.ErrTxDone) {
			t.Errorf("operation %d after the end: %v, want ErrTxDone", i, err)
		}
	}
	for _, err := range rtx.Keys("plain", kvstore.Range{}) {
		if !errors.Is(err, kvstore.ErrTxDone) {
			t.Errorf("loop after the end: %v, want ErrTxDone", err)
		}
	}
	if got := h.get("plain", "k"); got != " #0" {
		t.Errorf("got %q, want the entry as committed", got)
	}
}

func testNow(t *testing.T, h *harness) {
	h.execute(func(tx Tx) error {
		now := tx.Now()
		h.clock.advance(time.Minute)
		if !now.Equal(start) || !tx.Now().Equal(start) {
			return fmt.Errorf("now %v, then %v; want %v both times", now, tx.Now(), start)
		}
		if _, offset := now.Zone(); offset != 0 {
			return fmt.Errorf("now is %v, want UTC", now)
		}
		// What expires during the transaction stays visible in it.
		return all(
			expect("add", 0)(tx.Add("plain", "k", nil, kvstore.TTL(time.Second))),
			expect("update", 1)(tx.Update("plain", "k", nil, 0)),
		)
	})
	if got := h.get("plain", "k"); got != "absent" {
		t.Errorf("after the transaction: %q, want absent", got)
	}
}

func testReadYourWrites(t *testing.T, h *harness) {
	for i := range 100 {
		h.execute(func(tx Tx) error {
			return expect("overwrite", uint64(i))(tx.Overwrite("plain", "k", []byte{byte(i)}))
		})
		if got, want := h.get("plain", "k"), fmt.Sprintf("%s #%d", []byte{byte(i)}, i); got != want {
			t.Fatalf("view after write %d: %q, want %q", i, got, want)
		}
	}
}

// testReopen is run for engines that keep their data.
func testReopen(t *testing.T, h *harness) {
	h.execute(func(tx Tx) error {
		return all(
			expect("add", 0)(tx.Add("plain", "stays", []byte("v"), kvstore.TTL(time.Hour))),
			expect("add", 0)(tx.Add("plain", "goes", nil)),
			expect("overwrite", 1)(tx.Overwrite("plain", "goes", nil)),
			func() error {
				_, err := tx.Delete("plain", "goes")
				return err
			}(),
		)
	})
	h.close()
	h.open()
	if got := h.get("plain", "stays"); got != "v #0" {
		t.Errorf("got %s, want v #0", got)
	}
	h.execute(func(tx Tx) error { return expect("add", 2)(tx.Add("plain", "goes", nil)) })
	h.clock.advance(time.Hour + time.Millisecond)
	if got := h.get("plain", "stays"); got != "absent" {
		t.Errorf("after its expiry: %s, want absent", got)
	}
}
