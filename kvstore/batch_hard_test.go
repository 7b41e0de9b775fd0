package kvstore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"postern/kvstore"
)

// What one View has seen the next one sees too, whichever connections they have, also
// while the COMMIT that made it visible has not returned.
func TestViewsNeverGoBack(t *testing.T) {
	for _, d := range []kvstore.Durability{kvstore.Durable, kvstore.OSBuffered} {
		o := options()
		o.Durability, o.Readers = d, 4
		s := openFile(t, o)
		ctx := watchdog(t)
		s.Add(ctx, "t", "k", nil)
		var highest atomic.Uint64 // counter that a View has returned
		stop, ended := make(chan struct{}), make(chan error, o.Readers)
		for range o.Readers {
			go func() {
				for {
					select {
					case <-stop:
						ended <- nil
						return
					default:
					}
					floor := highest.Load()
					e, _, err := s.Get(ctx, "t", "k")
					if err == nil && e.Counter < floor {
						err = fmt.Errorf("read %d after another had read %d", e.Counter, floor)
					}
					if err != nil {
						ended <- err
						return
					}
					for old := highest.Load(); old < e.Counter && !highest.CompareAndSwap(old, e.Counter); {
						old = highest.Load()
					}
				}
			}()
		}
		for until := time.Now().Add(time.Second / 2); time.Now().Before(until); {
			if _, err := s.Overwrite(ctx, "t", "k", nil); err != nil {
				t.Fatal(err)
			}
		}
		close(stop)
		for range o.Readers {
			if err := receive(t, ctx, ended); err != nil {
				t.Error(err)
			}
		}
	}
}

// overfull lets n procedures wait in one batch of a store in which small values fit
// and the large one that procedure bad writes does not: the engine then undoes the work
// of those before it, and they are run again. fn ends every procedure.
func overfull(t *testing.T, callCtx context.Context, s *kvstore.Store, n, bad int, fn func(i int, tx *kvstore.Tx) error) (
	answers []<-chan error, release func()) {
	t.Helper()
	ctx := watchdog(t)
	if err := s.LimitPages(ctx, 40); err != nil {
		t.Fatal(err)
	}
	release = hold(t, ctx, s)
	return queue(t, callCtx, s, n, func(i int, tx *kvstore.Tx) error {
		value := []byte("small")
		if i == bad {
			value = make([]byte, 1<<20)
		}
		if _, err := tx.Overwrite("t", fmt.Sprint(i), value); err != nil {
			return err
		}
		return fn(i, tx)
	}), release
}

// A procedure that ends differently when it is run again fails alone or stops the
// store as it would have done the first time. Everyone is answered, and exactly those
// without an error are in the file.
func TestSecondRunEndsDifferently(t *testing.T) {
	const n, bad = 6, 3
	cause := errors.New("only now")
	for _, second := range []struct {
		name  string
		stops bool
		end   func(cancel func(), tx *kvstore.Tx) error
	}{
		{"error", false, func(func(), *kvstore.Tx) error { return cause }},
		{"fatal", true, func(func(), *kvstore.Tx) error { return kvstore.Fatal(cause) }},
		{"panic", true, func(func(), *kvstore.Tx) error { panic(cause) }},
		{"goexit", true, func(func(), *kvstore.Tx) error { runtime.Goexit(); return nil }},
		{"full", false, func(_ func(), tx *kvstore.Tx) error {
			_, err := tx.Overwrite("t", "large", make([]byte, 1<<20))
			return err
		}},
		{"full and goexit", true, func(_ func(), tx *kvstore.Tx) error {
			tx.Overwrite("t", "large", make([]byte, 1<<20))
			runtime.Goexit()
			return nil
		}},
		{"cancel", false, func(cancel func(), tx *kvstore.Tx) error {
			cancel() // all of them
			_, _, err := tx.Get("t", "0")
			return err
		}},
	} {
		for at := range bad {
			t.Run(fmt.Sprintf("%s at %d", second.name, at), func(t *testing.T) {
				ctx := watchdog(t)
				callCtx, cancel := context.WithCancel(ctx)
				defer cancel()
				o := options()
				o.MaxBatchTime = time.Hour
				path := filepath.Join(t.TempDir(), "store.db")
				s := openPath(t, path, o)
				runs := 0
				answers, release := overfull(t, callCtx, s, n, bad, func(i int, tx *kvstore.Tx) error {
					if i == at {
						if runs++; runs == 2 {
							return second.end(cancel, tx)
						}
					}
					return nil
				})
				release()
				errs := make([]error, n)
				for i, a := range answers {
					errs[i] = receive(t, ctx, a)
				}
				wantErr(t, "the one that does not fit", errs[bad], kvstore.ErrFull)
				if stopped := errors.Is(errs[at], kvstore.ErrStopped); stopped != second.stops || errs[at] == nil {
					t.Errorf("the one that ends differently: %v", errs[at])
				}
				if err := s.Close(ctx); err != nil {
					t.Fatal(err)
				}
				s = openPath(t, path, options())
				for i, err := range errs {
					if got := mustGet(t, s, fmt.Sprint(i)); (got == "small") != (err == nil) {
						t.Errorf("%d: answered %v, and in the file it is %s", i, err, got)
					}
					if second.stops && i > at && i != bad {
						wantErr(t, fmt.Sprint(i, ", behind it"), err, kvstore.ErrStopped)
					}
				}
			})
		}
	}
}

// Every member of a batch may fail in a way that takes the others along; each of them
// is answered for itself all the same, and counters go on where they were.
func TestEveryOtherProcedureIsTooLarge(t *testing.T) {
	const n = 20
	o := options()
	o.MaxBatchTime = time.Hour
	s := openFile(t, o)
	ctx := watchdog(t)
	if err := s.LimitPages(ctx, 40); err != nil {
		t.Fatal(err)
	}
	release := hold(t, ctx, s)
	counters := make([]uint64, n)
	answers := queue(t, ctx, s, n, func(i int, tx *kvstore.Tx) (err error) {
		if i%2 == 1 {
			tx.Delete("t", "k") // raises the floor, and is undone
			_, err = tx.Overwrite("t", "k", make([]byte, 1<<20))
			return err
		}
		counters[i], err = tx.Overwrite("t", "k", fmt.Append(nil, i))
		return err
	})
	release()
	for i, a := range answers {
		err := receive(t, ctx, a)
		if i%2 == 1 {
			wantErr(t, fmt.Sprint(i), err, kvstore.ErrFull)
		} else if err != nil || counters[i] != uint64(i/2) {
			t.Errorf("%d: counter %d, %v; want %d", i, counters[i], err, i/2)
		}
	}
	if got := mustGet(t, s, "k"); got != fmt.Sprint(n-2) {
		t.Errorf("at the end: %s", got)
	}
}

// Views go on over snapshots held since before a batch that did not fit.
func TestHeldSnapshotsAfterFull(t *testing.T) {
	o := options()
	o.MaxBatchTime = time.Hour
	s := openFile(t, o)
	ctx := watchdog(t)
	for i := range 3 {
		s.Overwrite(ctx, "t", fmt.Sprint(i), []byte("before"))
	}
	mustGet(t, s, "0") // whose snapshot is held from here
	answers, release := overfull(t, ctx, s, 3, 1, func(i int, tx *kvstore.Tx) error {
		if got := mustGet(t, s, "0"); got != "before" {
			t.Errorf("a View beside the batch read %s", got)
		}
		return nil
	})
	release()
	for i, a := range answers {
		err := receive(t, ctx, a)
		want := "small"
		if i == 1 {
			wantErr(t, "the one that does not fit", err, kvstore.ErrFull)
			want = "before"
		}
		if got := mustGet(t, s, fmt.Sprint(i)); got != want {
			t.Errorf("%d: %s after %v", i, got, err)
		}
	}
}

// A Watch that registers in a batch that is run again, or that fails, hears everything
// from there on once.
func TestWatchRegistersInABatchThatIsRunAgain(t *testing.T) {
	o := options()
	o.MaxBatchTime = time.Hour
	s := openFile(t, o)
	ctx := watchdog(t)
	if err := s.LimitPages(ctx, 40); err != nil {
		t.Fatal(err)
	}
	release := hold(t, ctx, s)
	events, failed := make(chan string), make(chan error, 1)
	watchCtx, cancel := context.WithCancel(ctx)
	put := func(i int, tx *kvstore.Tx) error {
		_, err := tx.Overwrite("t", "k", fmt.Append(nil, i))
		return err
	}
	before := queue(t, ctx, s, 2, put)
	waiting := s.Stats().Queued
	go func() {
		for e, err := range s.Watch(watchCtx, "t", "") {
			if err != nil {
				failed <- err
				return
			}
			events <- seen(e)
		}
	}()
	eventually(t, ctx, "queued", func() bool { return s.Stats().Queued == waiting+1 })
	after := queue(t, ctx, s, 3, func(i int, tx *kvstore.Tx) error {
		if i == 1 {
			_, err := tx.Overwrite("t", "k", make([]byte, 1<<20))
			return err
		}
		return put(10+i, tx)
	})
	release()
	for i, a := range append(before, after...) {
		if err := receive(t, ctx, a); (err != nil) != (i == 3) {
			t.Errorf("%d: %v", i, err)
		}
	}
	for range 2 { // the first look, and the changes behind the registration
		if got := receive(t, ctx, events); got != "k=12" {
			t.Errorf("shown %s", got)
		}
	}
	cancel()
	wantErr(t, "at the end", receive(t, ctx, failed), context.Canceled)
}

// Clear tells a watcher of the entries that had expired and were not swept: it has seen
// them, and nobody would tell it later.
func TestWatchSeesExpiredEntriesCleared(t *testing.T) {
	var now atomic.Int64 // seconds since 2026
	o := options()
	o.Clock = func() time.Time { return time.Date(2026, 1, 1, 0, 0, int(now.Load()), 0, time.UTC) }
	eachKind(t, o, func(t *testing.T, s *kvstore.Store) {
		ctx := watchdog(t)
		s.Add(ctx, "t", "a", []byte("v"), kvstore.TTL(time.Second))
		s.Add(ctx, "t", "b", []byte("v"))
		next, stop := watch(ctx, s, "t", "")
		defer stop()
		for _, want := range []string{"a=v", "b=v", "a gone", "b gone"} {
			if want == "a gone" {
				now.Add(60)
				if n, err := s.Clear(ctx, "t"); n != 1 || err != nil {
					t.Fatal(n, err)
				}
			}
			if got, err := next(); got != want || err != nil {
				t.Fatalf("%s, %v, want %s", got, err, want)
			}
		}
	})
}

// A checkpoint hears of the Views that end while it waits for them, though more Views
// than there are connections wait too.
func TestCheckpointBesideWaitingViews(t *testing.T) {
	const most, waiting, rounds = 4, 20, 50
	o := options()
	o.Readers, o.CheckpointPages = 1, 20
	s := openFile(t, o)
	ctx := watchdog(t)
	for round := range rounds { // one will do: this machine may be too slow for the checkpoint's patience
		release, inside, ended := make(chan struct{}), make(chan struct{}), make(chan error)
		view := func(fn func()) {
			ended <- s.View(ctx, func(tx *kvstore.ReadTx) error {
				fn()
				_, _, err := tx.Get("t", "k")
				return err
			})
		}
		for range most {
			go view(func() {
				inside <- struct{}{}
				<-release
			})
			receive(t, ctx, inside)
		}
		for range waiting {
			go view(func() {})
		}
		eventually(t, ctx, "waiting", func() bool { return s.WaitingViews() == waiting })
		if _, err := s.Overwrite(ctx, "t", "k", make([]byte, 4096*o.CheckpointPages)); err != nil {
			t.Fatal(err)
		}
		close(release)
		for range most + waiting {
			if err := receive(t, ctx, ended); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Overwrite(ctx, "t", "other", nil); err != nil { // when the checkpoint is over
			t.Fatal(err)
		}
		if s.Stats().Checkpoints > 0 {
			t.Logf("in round %d", round)
			return
		}
	}
	t.Errorf("no checkpoint in %d rounds", rounds)
}
