package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/kvstore"
)

// cases are the semantics one by one, each on a fresh store.
var cases = []struct {
	name string
	run  func(*testing.T, *harness)
}{
	{"counters begin at 0 and count changes", testCounters},
	{"counters are never used again", testCountersNotReused},
	{"absent keys", testAbsent},
	{"an entry lives through its last millisecond", testExpiryEdge},
	{"expired is absent to every operation", testExpiredIsAbsent},
	{"expiry options", testExpiryOptions},
	{"sweep", testSweep},
	{"clear counts what is visible", testClear},
	{"any bytes are a key", testKeyBytes},
	{"values are copies and never nil", testValues},
	{"ranges", testRanges},
	{"loops may write and break", testLoops},
	{"long scans", testLongScans},
	{"an error about a key leaves the transaction usable", testSwallow},
	{"a procedure's error comes back unchanged", testProcedureError},
	{"undeclared tables", testNoTable},
	{"a transaction ends with its function", testTxDone},
	{"now", testNow},
	{"views see what was answered", testReadYourWrites},
	{"typed tables", testTyped},
	{"modify", testModify},
	{"a watch shows what is there and what changes", testWatch},
	{"a watch shows the latest state and holds nobody up", testWatchCoalesces},
	{"a watch misses nothing that is written while it begins", testWatchBegins},
	{"a watch ends", testWatchEnds},
	{"watches of ranges, page by page", testWatchPages},
	{"a watch beside writers", testWatchStorm},
}

func testCounters(t *testing.T, h *harness) {
	h.execute(func(tx Tx) error {
		return all(
			expect("add", 0)(tx.Add("plain", "k", []byte("a"))),
			expect("update", 1)(tx.Update("plain", "k", []byte("b"), 0)),
			expect("overwrite", 2)(tx.Overwrite("plain", "k", []byte("c"))),
			expect("overwrite new", 0)(tx.Overwrite("plain", "other", nil)),
		)
	})
	if got := h.get("plain", "k"); got != "c #2" {
		t.Errorf("got %s, want c #2", got)
	}
	var updated, again bool
	h.execute(func(tx Tx) (err error) {
		updated, err = tx.TryUpdate("plain", "k", []byte("d"), 2)
		if err != nil {
			return err
		}
		again, err = tx.TryUpdate("plain", "k", []byte("e"), 2)
		return err
	})
	if !updated || again {
		t.Errorf("try update with 2, twice: %v %v, want true false", updated, again)
	}
	err := h.store.Execute(h.ctx, func(tx Tx) error {
		_, err := tx.Update("plain", "k", []byte("f"), 2)
		return err
	})
	if !errors.Is(err, kvstore.ErrCounterMismatch) {
		t.Errorf("update with an old counter: %v, want ErrCounterMismatch", err)
	}
	if got := h.get("plain", "k"); got != "d #3" {
		t.Errorf("got %s, want d #3", got)
	}
}

// A caller that holds a counter from before must not win after the key was
// removed, in whatever way, and written again.
func testCountersNotReused(t *testing.T, h *harness) {
	removals := map[string]func() error{
		"delete": func() error {
			return h.store.Execute(h.ctx, func(tx Tx) error {
				_, err := tx.Delete("plain", "k")
				return err
			})
		},
		"clear": func() error {
			return h.store.Execute(h.ctx, func(tx Tx) error {
				_, err := tx.Clear("plain")
				return err
			})
		},
		"expiry": func() error {
			h.clock.advance(2 * time.Second)
			return nil
		},
		"sweep": func() error {
			h.clock.advance(2 * time.Second)
			_, err := h.store.Sweep(h.ctx)
			return err
		},
	}
	seen := map[uint64]string{}
	for name, remove := range removals {
		for _, add := range []bool{true, false} {
			var counter uint64
			h.execute(func(tx Tx) (err error) {
				put := tx.Overwrite
				if add {
					put = tx.Add
				}
				counter, err = put("plain", "k", []byte("v"), kvstore.TTL(time.Second))
				return err
			})
			if before, used := seen[counter]; used {
				t.Errorf("counter %d given before %s was given before %s too", counter, name, before)
			}
			seen[counter] = name
			if err := remove(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := h.get("plain", "k"); got != "absent" {
				t.Errorf("after %s: %s", name, got)
			}
		}
	}
	// Other tables have counters of their own.
	h.execute(func(tx Tx) error { return expect("add elsewhere", 0)(tx.Add("Order", "k", nil)) })
}

func testAbsent(t *testing.T, h *harness) {
	h.execute(func(tx Tx) error {
		if _, found, err := tx.Get("plain", "k"); found || err != nil {
			return fmt.Errorf("get: %v %v", found, err)
		}
		if ok, err := tx.TryUpdate("plain", "k", nil, 0); ok || err != nil {
			return fmt.Errorf("try update: %v %v", ok, err)
		}
		if ok, err := tx.Delete("plain", "k"); ok || err != nil {
			return fmt.Errorf("delete: %v %v", ok, err)
		}
		if _, err := tx.Update("plain", "k", nil, 0); !errors.Is(err, kvstore.ErrCounterMismatch) {
			return fmt.Errorf("update: %v", err)
		}
		if keys, err := tx.ListKeys("plain"); len(keys) != 0 || err != nil {
			return fmt.Errorf("list: %q %v", keys, err)
		}
		if n, err := tx.Clear("plain"); n != 0 || err != nil {
			return fmt.Errorf("clear: %d %v", n, err)
		}
		return expect("add", 0)(tx.Add("plain", "k", nil))
	})
}

func testClear(t *testing.T, h *harness) {
	h.execute(func(tx Tx) error {
		return all(
			expect("add", 0)(tx.Add("plain", "a", nil)),
			expect("add", 0)(tx.Add("plain", "b", nil)),
			expect("add", 0)(tx.Add("plain", "gone", nil, kvstore.TTL(-1))),
			expect("add", 0)(tx.Add("Order", "a", nil)),
		)
	})
	var n int64
	h.execute(func(tx Tx) (err error) {
		n, err = tx.Clear("plain")
		return err
	})
	if n != 2 {
		t.Errorf("cleared %d, want 2", n)
	}
	if got := h.get("Order", "a"); got != " #0" {
		t.Errorf("another table: %q", got)
	}
}

func testKeyBytes(t *testing.T, h *harness) {
	h.execute(func(tx Tx) error {
		for _, key := range keys {
			if _, err := tx.Add("plain", key, []byte("value of "+key)); err != nil {
				return err
			}
			if _, err := tx.Add("small", key, []byte("value of "+key)); err != nil {
				return err
			}
		}
		return nil
	})
	want := slices.Sorted(slices.Values(keys))
	for _, table := range []string{"plain", "small"} {
		h.view(func(tx ReadTx) error {
			got, err := tx.ListKeys(table)
			if err != nil || !slices.Equal(got, want) {
				return fmt.Errorf("%s: listed %q, %v; want %q", table, got, err, want)
			}
			for _, key := range keys {
				e, found, err := tx.Get(table, key)
				if err != nil || !found || e.Key != key || string(e.Value) != "value of "+key {
					return fmt.Errorf("%s: get %q: %+v %v %v", table, key, e, found, err)
				}
			}
			return nil
		})
	}
}

func testValues(t *testing.T, h *harness) {
	big := []byte(strings.Repeat("0123456789abcdef", 1<<16)) // 1 MiB
	given := []byte("given")
	h.execute(func(tx Tx) error {
		return all(
			expect("add", 0)(tx.Add("plain", "nil", nil)),
			expect("add", 0)(tx.Add("plain", "empty", []byte{})),
			expect("add", 0)(tx.Add("plain", "given", given)),
			expect("add", 0)(tx.Add("plain", "big", big)),
		)
	})
	copy(given, "XXXXX")
	var first kvstore.Entry
	h.view(func(tx ReadTx) error {
		for _, key := range []string{"nil", "empty"} {
			e, found, err := tx.Get("plain", key)
			if err != nil || !found || e.Value == nil || len(e.Value) != 0 {
				return fmt.Errorf("%s: %#v %v %v, want a value that is empty and not nil", key, e.Value, found, err)
			}
		}
		e, _, err := tx.Get("plain", "big")
		if err != nil || string(e.Value) != string(big) {
			return fmt.Errorf("big: %d bytes, %v", len(e.Value), err)
		}
		first, _, err = tx.Get("plain", "given")
		return err
	})
	if string(first.Value) != "given" {
		t.Errorf("value %q changed with the slice it was made of", first.Value)
	}
	copy(first.Value, "YYYYY")
	if got := h.get("plain", "given"); got != "given #0" {
		t.Errorf("value changed with the slice that was returned: %s", got)
	}
}
