package kvstore_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/kvstore"
)

// seen describes what a watcher yields.
func seen(e kvstore.Entry) string {
	if e.Value == nil {
		return e.Key + " gone"
	}
	return fmt.Sprintf("%s=%s", e.Key, e.Value)
}

// watch collects what a Watch yields until its context ends.
func watch(ctx context.Context, s *kvstore.Store, table, prefix string) (next func() (string, error), stop func()) {
	pull, stop := iter.Pull2(s.Watch(ctx, table, prefix))
	return func() (string, error) {
		e, err, ok := pull()
		if !ok {
			return "", fmt.Errorf("ended")
		}
		return seen(e), err
	}, stop
}

func TestWatch(t *testing.T) {
	var now atomic.Int64 // seconds since 2026
	o := options()
	o.Clock = func() time.Time { return time.Date(2026, 1, 1, 0, 0, int(now.Load()), 0, time.UTC) }
	o.SweepEvery = -1
	eachKind(t, o, func(t *testing.T, s *kvstore.Store) {
		ctx := watchdog(t)
		for _, key := range []string{"a/1", "a/2", "b/1"} {
			s.Overwrite(ctx, "t", key, []byte("old"))
		}
		next, stop := watch(ctx, s, "t", "a/")
		defer stop()
		want := func(what ...string) {
			t.Helper()
			for _, w := range what {
				got, err := next()
				if err != nil || got != w {
					t.Fatalf("%s, %v, want %s", got, err, w)
				}
			}
		}
		want("a/1=old", "a/2=old")
		s.Overwrite(ctx, "t", "b/1", []byte("not ours"))
		s.Overwrite(ctx, "t", "a/1", []byte("new"))
		want("a/1=new")
		s.Execute(ctx, func(tx *kvstore.Tx) error {
			tx.Delete("t", "a/2")
			tx.Add("t", "a/3", []byte{}, kvstore.TTL(time.Second))
			return nil
		})
		want("a/2 gone", "a/3=")
		s.Execute(ctx, func(tx *kvstore.Tx) error {
			tx.Overwrite("t", "a/1", []byte("never"))
			return fmt.Errorf("rolled back")
		})
		now.Add(60)
		if n, err := s.Sweep(ctx); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		want("a/3 gone")
		for i := range 100 { // coalesced
			s.Overwrite(ctx, "t", "a/1", []byte(fmt.Sprint(i)))
		}
		want("a/1=99")
		if n, err := s.Clear(ctx, "t"); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		want("a/1 gone")
	})
}

// Many entries come in pages, and the body may use the store.
func TestWatchManyAndBreak(t *testing.T) {
	s := openFile(t, options())
	ctx := watchdog(t)
	s.Execute(ctx, func(tx *kvstore.Tx) error {
		for i := range 700 {
			tx.Overwrite("t", fmt.Sprintf("%04d", i), []byte("v"))
		}
		return nil
	})
	n := 0
	for e, err := range s.Watch(ctx, "t", "") {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%04d", n); e.Key != want {
			t.Fatalf("got %s, want %s", e.Key, want)
		}
		if n++; n == 650 {
			if _, err := s.Overwrite(ctx, "t", "other", nil); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if n != 650 {
		t.Errorf("%d entries", n)
	}
}

func TestWatchEnds(t *testing.T) {
	s := openFile(t, options())
	ctx := watchdog(t)
	for _, err := range s.Watch(ctx, "absent", "") {
		wantErr(t, "no table", err, kvstore.ErrNoTable)
	}
	cancelled, cancel := context.WithCancel(ctx)
	next, stop := watch(cancelled, s, "t", "")
	defer stop()
	s.Overwrite(ctx, "t", "k", nil)
	next()
	cancel()
	_, err := next()
	wantErr(t, "cancelled", err, context.Canceled)

	next, stop = watch(ctx, s, "t", "")
	defer stop()
	next()
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = next()
	wantErr(t, "closed", err, kvstore.ErrClosed)
}

// However writes and looks fall together, the last thing a watcher is shown is the
// last thing that was written.
func TestWatchMissesNothing(t *testing.T) {
	s := openFile(t, options())
	ctx := watchdog(t)
	const writes = 300
	ended := make(chan error, 5)
	for range 4 {
		go func() {
			last := ""
			for e, err := range s.Watch(ctx, "t", "k") {
				if err != nil {
					ended <- err
					return
				}
				if got := string(e.Value); strings.Compare(got, last) < 0 {
					ended <- fmt.Errorf("%q after %q", got, last)
					return
				} else if last = got; last == fmt.Sprintf("%05d", writes-1) {
					ended <- nil
					return
				}
			}
		}()
	}
	go func() {
		for i := range writes {
			if _, err := s.Overwrite(ctx, "t", "k", fmt.Appendf(nil, "%05d", i)); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for range 5 {
		if err := receive(t, ctx, ended); err != nil {
			t.Error(err)
		}
	}
}
