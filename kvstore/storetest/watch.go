package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/kvstore"
)

// shown describes what a watch yields.
func shown(e kvstore.Entry) string {
	if e.Value == nil {
		return e.Key + " gone"
	}
	return fmt.Sprintf("%s=%s #%d", e.Key, e.Value, e.Counter)
}

// pull returns a watch that is at rest between calls of next, and the end of it.
func pull[T any](t *testing.T, watch iter.Seq2[T, error]) (next func() (T, error)) {
	t.Helper()
	get, stop := iter.Pull2(watch)
	t.Cleanup(stop)
	return func() (T, error) {
		v, err, ok := get()
		if !ok {
			err = errors.New("the loop has ended")
		}
		return v, err
	}
}

// wantShown asks next for entries.
func wantShown(t *testing.T, next func() (kvstore.Entry, error), want ...string) {
	t.Helper()
	for _, w := range want {
		if e, err := next(); err != nil || shown(e) != w {
			t.Fatalf("watch: %s, %v, want %s", shown(e), err, w)
		}
	}
}

// write puts a value under each of the keys, in one procedure.
func (h *harness) write(table, value string, keys ...string) {
	h.t.Helper()
	h.execute(func(tx Tx) error {
		for _, key := range keys {
			if _, err := tx.Overwrite(table, key, []byte(value)); err != nil {
				return err
			}
		}
		return nil
	})
}

func testWatch(t *testing.T, h *harness) {
	h.write("plain", "old", "a/1", "a/2", "b/1")
	next := pull(t, h.store.Watch(h.ctx, "plain", "a/"))
	wantShown(t, next, "a/1=old #0", "a/2=old #0")
	h.write("plain", "not ours", "b/1", "a", "b")
	h.write("Order", "not ours", "a/1")
	h.write("plain", "new", "a/1")
	wantShown(t, next, "a/1=new #1")
	h.execute(func(tx Tx) error {
		if _, err := tx.Delete("plain", "a/2"); err != nil {
			return err
		}
		return expect("add", 1)(tx.Add("plain", "a/3", nil, kvstore.TTL(time.Second)))
	})
	wantShown(t, next, "a/2 gone", "a/3= #1")
	failed := h.store.Execute(h.ctx, func(tx Tx) error {
		tx.Overwrite("plain", "a/1", []byte("never"))
		return errors.New("rolled back")
	})
	if failed == nil {
		t.Fatal("no error")
	}
	h.clock.advance(time.Minute)
	if n, err := h.store.Sweep(h.ctx); n != 1 || err != nil {
		t.Fatalf("sweep: %d %v, want 1", n, err)
	}
	wantShown(t, next, "a/3 gone")
	h.execute(func(tx Tx) error {
		_, err := tx.Clear("plain")
		return err
	})
	wantShown(t, next, "a/1 gone")
}

// The watch is at rest while all this is written.
func testWatchCoalesces(t *testing.T, h *harness) {
	one := pull(t, h.store.Watch(h.ctx, "plain", "one"))
	h.write("plain", "first", "one")
	wantShown(t, one, "one=first #0")
	for i := range 300 {
		h.write("plain", fmt.Sprint(i), "one", fmt.Sprint("other ", i))
	}
	wantShown(t, one, "one=299 #300")
	h.execute(func(tx Tx) error {
		_, err := tx.Delete("plain", "one")
		return err
	})
	h.write("plain", "again", "one")
	wantShown(t, one, "one=again #301")
	h.write("plain", "last", "one")
	h.execute(func(tx Tx) error {
		_, err := tx.Delete("plain", "one")
		return err
	})
	wantShown(t, one, "one gone")
}

// The loop's body writes: at its first turn, among the entries that are there, and
// when it has seen them all.
func testWatchBegins(t *testing.T, h *harness) {
	h.write("plain", "old", "a", "b", "c")
	state, turns := map[string]string{}, 0
	for e, err := range h.store.Watch(h.ctx, "plain", "") {
		if err != nil {
			t.Fatal(err)
		}
		state[e.Key] = shown(e)
		switch turns++; turns {
		case 1:
			h.write("plain", "new", "a", "c", "d")
		case 3:
			h.write("plain", "new", "b", "e")
		}
		want := map[string]string{"a": "a=new #1", "b": "b=new #1", "c": "c=new #1", "d": "d=new #0", "e": "e=new #0"}
		if maps.Equal(state, want) {
			return
		}
	}
}

func testWatchEnds(t *testing.T, h *harness) {
	n := 0
	for e, err := range h.store.Watch(h.ctx, "none", "") {
		if n++; !errors.Is(err, kvstore.ErrNoTable) {
			t.Errorf("%s, %v, want ErrNoTable", shown(e), err)
		}
	}
	if n != 1 {
		t.Errorf("%d pairs, want 1", n)
	}
	h.write("plain", "v", "k", "l")
	for range h.store.Watch(h.ctx, "plain", "") {
		break
	}
	ctx, cancel := context.WithCancel(h.ctx)
	ended := make(chan error)
	resting := pull(t, h.store.Watch(ctx, "plain", "k"))
	wantShown(t, resting, "k=v #0")
	waiting := pull(t, h.store.Watch(ctx, "plain", "k"))
	wantShown(t, waiting, "k=v #0")
	go func() {
		_, err := waiting()
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a watch that waited: %v, want it cancelled", err)
	}
	if _, err := resting(); !errors.Is(err, context.Canceled) {
		t.Errorf("a watch at rest: %v, want it cancelled", err)
	}
	for _, next := range []func() (kvstore.Entry, error){waiting, resting} {
		if e, err := next(); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("behind the error came %s, %v", shown(e), err)
		}
	}
	last := pull(t, h.store.Watch(h.ctx, "plain", "k"))
	wantShown(t, last, "k=v #0")
	go func() {
		_, err := last()
		ended <- err
	}()
	h.close()
	if err := <-ended; !errors.Is(err, kvstore.ErrClosed) {
		t.Errorf("a watch of a store that was closed: %v, want ErrClosed", err)
	}
	h.open() // for the harness to close
}

func testWatchPages(t *testing.T, h *harness) {
	line := func(next func() ([]kvstore.Entry, error)) string {
		page, err := next()
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, e := range page {
			all = append(all, shown(e))
		}
		return strings.Join(all, ", ")
	}
	next := pull(t, h.store.WatchPages(h.ctx, "plain", kvstore.Range{Start: "b", End: "d", Reverse: true, Limit: 1}, 0))
	if got := line(next); got != "" {
		t.Errorf("first page: %s, want it empty", got)
	}
	h.write("plain", "v", "a", "b", "c", "c\xff", "d")
	if got, want := line(next), "b=v #0, c=v #0, c\xff=v #0"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	idle := pull(t, h.store.WatchPages(h.ctx, "plain", kvstore.Range{Prefix: "c"}, time.Millisecond))
	if got, want := line(idle), "c=v #0, c\xff=v #0"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for range 3 {
		if got := line(idle); got != "" {
			t.Errorf("%s, though nothing was changed", got)
		}
	}
	h.write("plain", "w", "c")
	for got := ""; got == ""; {
		if got = line(idle); got != "" && got != "c=w #1" {
			t.Errorf("%s, want c=w #1", got)
		}
	}
	const n = 2000
	h.execute(func(tx Tx) error {
		for i := range n {
			if _, err := tx.Overwrite("plain", fmt.Sprintf("c%04d", i), make([]byte, 1000)); err != nil {
				return err
			}
		}
		return nil
	})
	for seen := 0; seen < n; {
		page, err := next()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			if want := fmt.Sprintf("c%04d", seen); e.Key == want {
				seen++
			} else if e.Key != "c" {
				t.Fatalf("%s, want %s", e.Key, want)
			}
		}
	}
}

// However changes and looks fall together, in the end a watch has shown what is there.
func testWatchStorm(t *testing.T, h *harness) {
	const writers, steps = 4, 60
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range steps {
				err := h.store.Execute(h.ctx, func(tx Tx) (err error) {
					switch key := fmt.Sprint("k", (i*7+w)%9); {
					case i%5 == 4:
						_, err = tx.Delete("plain", key)
					case i == steps/2 && w == 0:
						_, err = tx.Clear("plain")
					default:
						_, err = tx.Overwrite("plain", key, fmt.Append(nil, w, i))
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	over := make(chan map[string]string)
	go func() { // what is there when all is written
		group.Wait()
		var want map[string]string
		err := h.store.Execute(h.ctx, func(tx Tx) error {
			want = map[string]string{}
			if _, err := tx.Overwrite("plain", "the end", nil); err != nil {
				return err
			}
			for e, err := range tx.Entries("plain", kvstore.Range{}) {
				if err != nil {
					return err
				}
				want[e.Key] = shown(e)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		over <- want
	}()
	state := map[string]string{}
	for e, err := range h.store.Watch(h.ctx, "plain", "") {
		if err != nil {
			t.Fatal(err)
		}
		if state[e.Key] = shown(e); e.Value == nil {
			delete(state, e.Key)
		}
		if e.Key == "the end" { // the last one in its page, which was read when all was there
			break
		}
	}
	if want := <-over; !maps.Equal(state, want) {
		t.Errorf("a watch has shown %v, and there is %v", state, want)
	}
}
