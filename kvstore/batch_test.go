package kvstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"postern/kvstore"
)

// Procedures that wait together share a transaction, and each stands or falls alone.
func TestBatchSharesACommit(t *testing.T) {
	o := options()
	o.MaxBatchTime = time.Hour
	eachKind(t, o, func(t *testing.T, s *kvstore.Store) {
		ctx := watchdog(t)
		s.Add(ctx, "t", "taken", nil)
		before := s.Stats()
		release := hold(t, ctx, s)
		wanted := errors.New("no")
		answers := queue(t, ctx, s, 6, func(i int, tx *kvstore.Tx) error {
			if _, err := tx.Add("t", fmt.Sprint(i), []byte("half")); err != nil {
				return err
			}
			switch i {
			case 2:
				return wanted
			case 3:
				_, err := tx.Add("t", "taken", nil)
				return err
			case 4: // what a neighbour wrote is there, what a failed one wrote is not
				if _, found, err := tx.Get("t", "1"); !found || err != nil {
					return fmt.Errorf("1: %v, %v", found, err)
				}
				if _, found, err := tx.Get("t", "2"); found || err != nil {
					return fmt.Errorf("2: %v, %v", found, err)
				}
			}
			return nil
		})
		release()
		for i, a := range answers {
			err := receive(t, ctx, a)
			switch i {
			case 2:
				wantErr(t, "a procedure's own error", err, wanted)
			case 3:
				wantErr(t, "a conflict", err, kvstore.ErrExists)
			default:
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
			}
		}
		for i, want := range []string{"half", "half", "absent", "absent", "half", "half"} {
			if got := mustGet(t, s, fmt.Sprint(i)); got != want {
				t.Errorf("%d: %q, want %q", i, got, want)
			}
		}
		after := s.Stats()
		if commits := after.Commits - before.Commits; commits != 1 {
			t.Errorf("%d commits for one batch", commits)
		}
		if failed := after.Rollbacks - before.Rollbacks; failed != 2 {
			t.Errorf("%d rollbacks, want 2", failed)
		}
	})
}

// A statement that makes the engine give up the whole transaction fails its own
// procedure; the others are run again.
func TestBatchIsRunAgain(t *testing.T) {
	o := options()
	o.MaxBatchTime = time.Hour
	s := openFile(t, o)
	ctx := watchdog(t)
	if err := s.LimitPages(ctx, 40); err != nil {
		t.Fatal(err)
	}
	release := hold(t, ctx, s)
	runs := make([]int, 5)
	answers := queue(t, ctx, s, 5, func(i int, tx *kvstore.Tx) error {
		runs[i]++
		value := []byte("small")
		if i == 2 {
			value = make([]byte, 1<<20) // does not fit
		}
		_, err := tx.Overwrite("t", fmt.Sprint(i), value)
		return err
	})
	release()
	for i, a := range answers {
		err := receive(t, ctx, a)
		if i == 2 {
			wantErr(t, "the one that does not fit", err, kvstore.ErrFull)
		} else if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	for i, want := range []string{"small", "small", "absent", "small", "small"} {
		if got := mustGet(t, s, fmt.Sprint(i)); got != want {
			t.Errorf("%d: %q, want %q", i, got, want)
		}
	}
	if runs[0] != 2 || runs[1] != 2 || runs[2] != 1 {
		t.Errorf("runs: %v, want those before the culprit twice", runs)
	}
	if s.Err() != nil {
		t.Errorf("stopped: %v", s.Err())
	}
}

// Nobody waits for procedures that joined later than MaxBatchTime.
func TestSlowProcedureEndsItsBatch(t *testing.T) {
	o := options()
	o.MaxBatchTime = time.Nanosecond
	s := openFile(t, o)
	ctx := watchdog(t)
	before := s.Stats().Commits
	release := hold(t, ctx, s)
	answers := queue(t, ctx, s, 4, func(i int, tx *kvstore.Tx) error {
		_, err := tx.Add("t", fmt.Sprint(i), nil)
		return err
	})
	release()
	for _, a := range answers {
		if err := receive(t, ctx, a); err != nil {
			t.Error(err)
		}
	}
	if commits := s.Stats().Commits - before; commits != 5 {
		t.Errorf("%d commits for five procedures that may not share", commits)
	}
}

func TestMaxBatch(t *testing.T) {
	o := options()
	o.MaxBatch, o.MaxBatchTime = 2, time.Hour
	s := openFile(t, o)
	ctx := watchdog(t)
	before := s.Stats().Commits
	release := hold(t, ctx, s)
	answers := queue(t, ctx, s, 5, func(i int, tx *kvstore.Tx) error {
		_, err := tx.Add("t", fmt.Sprint(i), nil)
		return err
	})
	release()
	for _, a := range answers {
		if err := receive(t, ctx, a); err != nil {
			t.Error(err)
		}
	}
	if commits := s.Stats().Commits - before; commits != 3 {
		t.Errorf("%d commits for six procedures, two at a time", commits)
	}
}

// Who is told of a procedure that never ends can do something about it.
func TestOnSlow(t *testing.T) {
	told := make(chan kvstore.SlowInfo, 9)
	o := options()
	o.SlowAfter = time.Millisecond
	o.OnSlow = func(info kvstore.SlowInfo) { told <- info }
	s := openFile(t, o)
	ctx, cancel := context.WithCancel(watchdog(t))
	defer cancel()
	err := s.Execute(ctx, func(tx *kvstore.Tx) error {
		info := receive(t, ctx, told) // it hears of itself
		if info.Running != time.Millisecond {
			t.Errorf("told %+v", info)
		}
		cancel()
		_, _, err := tx.Get("t", "k")
		return err
	})
	wantErr(t, "cancelled from outside", err, context.Canceled)
}

// A View that goes on with the snapshot of the one before it sees what was answered
// in between.
func TestHeldSnapshotsAreNotStale(t *testing.T) {
	o := options()
	o.Readers = 2
	s := openFile(t, o)
	ctx := watchdog(t)
	for i := range 500 {
		want := fmt.Sprint(i)
		if _, err := s.Overwrite(ctx, "t", "k", []byte(want)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if got := mustGet(t, s, "k"); got != want {
				t.Fatalf("read %s after %s was answered", got, want)
			}
		}
	}
}

// Views that run for ever in all connections do not keep another from reading.
func TestPoolGrows(t *testing.T) {
	o := options()
	o.Readers = 1
	s := openFile(t, o)
	ctx := watchdog(t)
	release := make(chan struct{})
	inside, ended := make(chan struct{}), make(chan error)
	for range 3 {
		go func() {
			ended <- s.View(ctx, func(tx *kvstore.ReadTx) error {
				inside <- struct{}{}
				<-release
				return nil
			})
		}()
		receive(t, ctx, inside)
	}
	if got := mustGet(t, s, "absent"); got != "absent" {
		t.Errorf("got %q", got)
	}
	close(release)
	for range 3 {
		if err := receive(t, ctx, ended); err != nil {
			t.Error(err)
		}
	}
}

// The log starts over under Views that read all the time. One of them that a loaded
// machine keeps from going on can hold it up; not three times.
func TestLogStaysShortUnderViews(t *testing.T) {
	const pages, tries = 50, 3
	for try := 1; ; try++ {
		longest, n := logUnderViews(t, pages)
		switch {
		case longest <= 2*pages && n >= 5:
			return
		case try == tries:
			t.Fatalf("the log grew to %d pages, %d checkpoints", longest, n)
		}
		t.Logf("once more: the log grew to %d pages, %d checkpoints", longest, n)
	}
}

// logUnderViews returns how long the log of a store becomes that is written to while
// it is read all the time, and how often it was carried over.
func logUnderViews(t *testing.T, pages int) (longest int, checkpoints uint64) {
	o := options()
	o.CheckpointPages = pages
	s := openFile(t, o)
	ctx := watchdog(t)
	stop, ended := make(chan struct{}), make(chan error, 4)
	for range 4 {
		go func() {
			for {
				select {
				case <-stop:
					ended <- nil
					return
				default:
				}
				if _, _, err := s.Get(ctx, "t", "1"); err != nil {
					ended <- err
					return
				}
			}
		}()
	}
	for i := range 600 {
		if _, err := s.Overwrite(ctx, "t", fmt.Sprint(i%50), make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, s.Stats().LogPages)
	}
	close(stop)
	for range 4 {
		if err := receive(t, ctx, ended); err != nil {
			t.Error(err)
		}
	}
	return longest, uint64(s.Stats().Checkpoints)
}

// A View that stands in the way for too long fails; the log starts over.
func TestViewTooOld(t *testing.T) {
	o := options()
	o.CheckpointPages, o.MaxViewAge = 20, time.Millisecond
	s := openFile(t, o)
	ctx := watchdog(t)
	err := s.View(ctx, func(tx *kvstore.ReadTx) error {
		for i := 0; ; i++ {
			if _, err := s.Overwrite(ctx, "t", fmt.Sprint(i%50), make([]byte, 1000)); err != nil {
				return err
			}
			if _, _, err := tx.Get("t", "1"); err != nil {
				return err
			}
		}
	})
	wantErr(t, "an old View", err, kvstore.ErrViewTooOld)
	if _, _, err := s.Get(ctx, "t", "1"); err != nil {
		t.Errorf("the next one: %v", err)
	}
}
