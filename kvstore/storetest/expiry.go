package storetest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"postern/kvstore"
)

func testExpiryEdge(t *testing.T, h *harness) {
	h.execute(func(tx Tx) error {
		_, err := tx.Add("plain", "k", []byte("v"), kvstore.ExpiresAt(start.Add(time.Second)))
		return err
	})
	h.clock.advance(time.Second)
	if got := h.get("plain", "k"); got != "v #0" {
		t.Errorf("at its expiry: %s, want v #0", got)
	}
	h.clock.advance(time.Millisecond)
	if got := h.get("plain", "k"); got != "absent" {
		t.Errorf("a millisecond later: %s, want absent", got)
	}
}

func testExpiredIsAbsent(t *testing.T, h *harness) {
	expire := func() {
		h.execute(func(tx Tx) error {
			_, err := tx.Overwrite("plain", "k", []byte("old"), kvstore.TTL(time.Millisecond))
			return err
		})
		h.clock.advance(2 * time.Millisecond)
	}
	expire()
	h.execute(func(tx Tx) error {
		if ok, err := tx.TryUpdate("plain", "k", nil, 0); ok || err != nil {
			return fmt.Errorf("try update: %v %v", ok, err)
		}
		if _, err := tx.Update("plain", "k", nil, 0); !errors.Is(err, kvstore.ErrCounterMismatch) {
			return fmt.Errorf("update: %v", err)
		}
		if ok, err := tx.Delete("plain", "k"); ok || err != nil {
			return fmt.Errorf("delete: %v %v", ok, err)
		}
		if keys, err := tx.ListKeys("plain"); len(keys) != 0 || err != nil {
			return fmt.Errorf("list: %q %v", keys, err)
		}
		for e, err := range tx.Entries("plain", kvstore.Range{}) {
			return fmt.Errorf("entries: %+v %v", e, err)
		}
		// The expiry does not come back with the key.
		_, err := tx.Add("plain", "k", []byte("new"))
		return err
	})
	h.clock.advance(time.Hour)
	if got := h.get("plain", "k"); got != "new #1" {
		t.Errorf("added over the expired entry: %s, want new #1", got)
	}
	expire()
	h.execute(func(tx Tx) error { return expect("overwrite", 3)(tx.Overwrite("plain", "k", []byte("newer"))) })
	h.clock.advance(time.Hour)
	if got := h.get("plain", "k"); got != "newer #3" {
		t.Errorf("overwrote the expired entry: %s, want newer #3", got)
	}
}

func testExpiryOptions(t *testing.T, h *harness) {
	soon := start.Add(time.Hour)
	options := func(o ...kvstore.PutOption) []kvstore.PutOption { return o }
	for _, c := range []struct {
		name string
		o    []kvstore.PutOption
		want time.Time // expiry of an entry that expired at soon
	}{
		{"none", nil, soon},
		{"TTL", options(kvstore.TTL(time.Minute)), start.Add(time.Minute)},
		{"TTL of microseconds", options(kvstore.TTL(1999 * time.Microsecond)), start.Add(time.Millisecond)},
		{"TTL 0", options(kvstore.TTL(0)), start},
		{"longest TTL", options(kvstore.TTL(math.MaxInt64)), start.Add(time.Duration(math.MaxInt64).Truncate(time.Millisecond))},
		{"ExpiresAt", options(kvstore.ExpiresAt(start.Add(time.Second + 999*time.Microsecond))), start.Add(time.Second)},
		{"ExpiresAt never", options(kvstore.ExpiresAt(time.Time{})), time.Time{}},
		{"Persist", options(kvstore.Persist()), time.Time{}},
		{"the last one counts", options(kvstore.Persist(), kvstore.TTL(time.Second)), start.Add(time.Second)},
	} {
		h.execute(func(tx Tx) error {
			if _, err := tx.Overwrite("plain", c.name, nil, kvstore.ExpiresAt(soon)); err != nil {
				return err
			}
			if _, err := tx.Overwrite("plain", c.name, nil, c.o...); err != nil {
				return err
			}
			e, found, err := tx.Get("plain", c.name)
			if err != nil || !found || !e.ExpiresAt.Equal(c.want) {
				return fmt.Errorf("%s: expires at %v (found %v, %v), want %v", c.name, e.ExpiresAt, found, err, c.want)
			}
			return nil
		})
	}
	// In the past: written, counted, and not there.
	for name, o := range map[string]kvstore.PutOption{
		"negative TTL": kvstore.TTL(-time.Nanosecond),
		"a past time":  kvstore.ExpiresAt(start.Add(-time.Millisecond)),
		"before 1970":  kvstore.ExpiresAt(time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)),
	} {
		h.execute(func(tx Tx) error {
			if err := expect("overwrite", 0)(tx.Overwrite("Order", name, nil)); err != nil {
				return err
			}
			if err := expect("overwrite", 1)(tx.Overwrite("Order", name, nil, o)); err != nil {
				return err
			}
			if _, found, err := tx.Get("Order", name); found || err != nil {
				return fmt.Errorf("%s: found %v, %v", name, found, err)
			}
			return nil
		})
	}
}

func testSweep(t *testing.T, h *harness) {
	const due = 600 // more than two transactions' worth
	h.execute(func(tx Tx) error {
		for i := range due {
			table := []string{"plain", "small"}[i%2]
			if _, err := tx.Add(table, fmt.Sprint("due", i), nil, kvstore.TTL(time.Second)); err != nil {
				return err
			}
		}
		return all(
			expect("add", 0)(tx.Add("plain", "edge", nil, kvstore.TTL(2*time.Second))),
			expect("add", 0)(tx.Add("plain", "forever", nil)),
		)
	})
	if n, err := h.store.Sweep(h.ctx); n != 0 || err != nil {
		t.Errorf("nothing due: swept %d, %v", n, err)
	}
	h.clock.advance(2 * time.Second)
	if n, err := h.store.Sweep(h.ctx); n != due || err != nil {
		t.Errorf("swept %d, %v; want %d", n, err, due)
	}
	if n, err := h.store.Sweep(h.ctx); n != 0 || err != nil {
		t.Errorf("again: swept %d, %v", n, err)
	}
	var keys []string
	h.view(func(tx ReadTx) (err error) {
		keys, err = tx.ListKeys("plain")
		return err
	})
	if want := []string{"edge", "forever"}; !slices.Equal(keys, want) {
		t.Errorf("left: %q, want %q", keys, want)
	}
}
