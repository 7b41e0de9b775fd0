package kvstore_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/kvstore"
)

// pages returns what WatchPages yields next, the entries of a page in one line.
func pages(ctx context.Context, s *kvstore.Store, r kvstore.Range, idle time.Duration) (next func() string, stop func()) {
	pull, stop := iter.Pull2(s.WatchPages(ctx, "t", r, idle))
	return func() string {
		page, err, ok := pull()
		if !ok || err != nil {
			return fmt.Sprintf("ended: %v", err)
		}
		var all []string
		for _, e := range page {
			all = append(all, seen(e))
		}
		return strings.Join(all, ", ")
	}, stop
}

// The range is that of Keys, before and after.
func TestWatchPagesRange(t *testing.T) {
	keys := []string{"", "a", "a\x00", "a/", "b", "\xff", "\xff\xff"}
	for _, r := range []kvstore.Range{
		{}, {Prefix: "a"}, {Prefix: "\xff"}, {Start: "a", End: "a\x00"}, {Start: "a\x00"}, {End: "b"},
		{Prefix: "a", Start: "a\x00", End: "a/"}, {Start: "b", End: "a"}, {Prefix: "a", Reverse: true, Limit: 1},
	} {
		s := openFile(t, options())
		ctx := watchdog(t)
		write := func(value string) {
			err := s.Execute(ctx, func(tx *kvstore.Tx) error {
				for _, key := range keys {
					if _, err := tx.Overwrite("t", key, []byte(value)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		write("1")
		within := r
		within.Reverse, within.Limit = false, 0
		var there []string
		err := s.View(ctx, func(tx *kvstore.ReadTx) error {
			there = nil
			for key, err := range tx.Keys("t", within) {
				if err != nil {
					return err
				}
				there = append(there, key)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		line := func(value string) string {
			var all []string
			for _, key := range there {
				all = append(all, key+"="+value)
			}
			return strings.Join(all, ", ")
		}
		next, stop := pages(ctx, s, r, 0)
		if got := next(); got != line("1") {
			t.Errorf("%+v: first %q, want %q", r, got, line("1"))
		}
		write("2")
		if len(there) > 0 {
			if got := next(); got != line("2") {
				t.Errorf("%+v: then %q, want %q", r, got, line("2"))
			}
		}
		stop()
	}
}

// The first page comes though it is empty, and then one when idle has passed.
func TestWatchPagesIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options()
		o.SweepEvery = -1
		s, err := kvstore.OpenMemory(o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(context.Background())
		ctx, cancel := context.WithCancel(t.Context())
		next, stop := pages(ctx, s, kvstore.Range{}, time.Minute)
		defer stop()
		began := time.Now()
		want := func(page string, at time.Duration) {
			t.Helper()
			if got := next(); got != page || time.Since(began) != at {
				t.Fatalf("%q after %v, want %q after %v", got, time.Since(began), page, at)
			}
		}
		put := func() { s.Overwrite(t.Context(), "t", "k", []byte("v")) }
		want("", 0)
		want("", time.Minute)
		want("", 2*time.Minute)
		time.AfterFunc(59*time.Second, put)
		want("k=v", 2*time.Minute+59*time.Second)
		time.AfterFunc(10*time.Second, put)
		want("k=v", 3*time.Minute+9*time.Second)
		want("", 4*time.Minute+9*time.Second)
		time.AfterFunc(time.Second, cancel)
		want("ended: context canceled", 4*time.Minute+10*time.Second)

		quiet, stop := pages(t.Context(), s, kvstore.Range{Start: "x"}, 0)
		defer stop()
		quiet()
		began = time.Now()
		time.AfterFunc(24*time.Hour, func() { s.Overwrite(t.Context(), "t", "x", []byte("v")) })
		if got := quiet(); got != "x=v" || time.Since(began) != 24*time.Hour {
			t.Errorf("without idle: %q after %v", got, time.Since(began))
		}
	})
}

// However many and long the entries are, a page is not longer than it says, and
// none is empty but the first.
func TestWatchPagesAreBounded(t *testing.T) {
	const most = 256<<10 + 100<<10 // a page goes on up to its limit, and the entry that passes it is whole
	for _, tt := range []struct{ entries, size int }{{256, 10}, {512, 10}, {600, 10}, {30, 100 << 10}, {8, 64 << 10}} {
		s := openFile(t, options())
		ctx := watchdog(t)
		value := []byte(strings.Repeat("v", tt.size))
		write := func() {
			err := s.Execute(ctx, func(tx *kvstore.Tx) error {
				for i := range tt.entries {
					if _, err := tx.Overwrite("t", fmt.Sprintf("%04d", i), value); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		write()
		n := 0
		for page, err := range s.WatchPages(ctx, "t", kvstore.Range{}, time.Minute) {
			if err != nil || len(page) == 0 {
				t.Fatalf("%+v: page of %d entries after %d, %v", tt, len(page), n, err)
			}
			size := 0
			for _, e := range page {
				if want := fmt.Sprintf("%04d", n%tt.entries); e.Key != want || len(e.Value) != tt.size {
					t.Fatalf("%+v: %s with %d bytes, want %s", tt, e.Key, len(e.Value), want)
				}
				size += len(e.Key) + len(e.Value)
				n++
			}
			if size > most {
				t.Fatalf("%+v: a page of %d bytes", tt, size)
			}
			if n == tt.entries {
				write()
			}
			if n == 2*tt.entries {
				break
			}
		}
	}
}
