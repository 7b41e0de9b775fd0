package kvstore_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/kvstore"
)

func TestViewIsASnapshot(t *testing.T) {
	s := openFile(t, options())
	ctx := watchdog(t)
	s.Add(ctx, "t", "k", []byte("old"))
	err := s.View(ctx, func(tx *kvstore.ReadTx) error {
		// Written before the View has read anything.
		if _, err := s.Overwrite(ctx, "t", "k", []byte("new")); err != nil {
			return err
		}
		for range 2 {
			e, _, err := tx.Get("t", "k")
			if err != nil || string(e.Value) != "old" {
				return fmt.Errorf("got %q, %v; want the value when the View began", e.Value, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if got := mustGet(t, s, "k"); got != "new" {
		t.Errorf("a later View got %s, want new", got)
	}
}

func TestViewsRunBesideEachOtherAndTheWriter(t *testing.T) {
	o := options()
	o.Readers = 3
	s := openFile(t, o)
	ctx := watchdog(t)
	release := hold(t, ctx, s)
	var meet sync.WaitGroup
	meet.Add(o.Readers)
	done := make(chan error, o.Readers)
	for range o.Readers {
		go func() {
			done <- s.View(ctx, func(tx *kvstore.ReadTx) error {
				meet.Done()
				meet.Wait() // all are inside at once
				_, err := tx.ListKeys("t")
				return err
			})
		}()
	}
	for range o.Readers {
		if err := receive(t, ctx, done); err != nil {
			t.Error(err)
		}
	}
	release()
}

func TestViewWaitsForItsTurn(t *testing.T) {
	o := options()
	o.Readers = 1
	s := openFile(t, o)
	ctx := watchdog(t)
	err := s.View(ctx, func(*kvstore.ReadTx) error {
		callCtx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- s.View(callCtx, func(*kvstore.ReadTx) error { return nil }) }()
		cancel()
		wantErr(t, "second View", receive(t, ctx, done), context.Canceled)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := s.View(ctx, func(*kvstore.ReadTx) error { return nil }); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestNoReaders(t *testing.T) {
	o := options()
	o.Readers = -1
	s := openFile(t, o)
	s.Add(watchdog(t), "t", "k", []byte("v"))
	if got := mustGet(t, s, "k"); got != "v" {
		t.Errorf("got %s, want v", got)
	}
}

// While the sum of two entries is kept by every procedure, no View may see it
// broken, and every View sees what was answered before it.
func TestViewsSeeWholeProcedures(t *testing.T) {
	o := options()
	o.CheckpointPages = 20 // checkpoints and log restarts under the Views
	s := openFile(t, o)
	ctx := watchdog(t)
	s.Add(ctx, "t", "a", []byte{100})
	s.Add(ctx, "t", "b", []byte{100})
	var answered sync.Map // of the writer: its last counter
	answered.Store("n", uint64(0))
	stop := make(chan struct{})
	done := make(chan error, 4)
	for range 3 {
		go func() {
			for {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				floor, _ := answered.Load("n")
				err := s.View(ctx, func(tx *kvstore.ReadTx) error {
					a, _, err := tx.Get("t", "a")
					if err != nil {
						return err
					}
					b, _, err := tx.Get("t", "b")
					if err != nil {
						return err
					}
					if a.Value[0]+b.Value[0] != 200 || a.Counter != b.Counter || a.Counter < floor.(uint64) {
						return fmt.Errorf("saw %d+%d, counters %d and %d after %d was answered",
							a.Value[0], b.Value[0], a.Counter, b.Counter, floor)
					}
					return nil
				})
				if err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for i := range 300 {
		err := s.Execute(ctx, func(tx *kvstore.Tx) error {
			if _, err := tx.Overwrite("t", "a", []byte{byte(i % 200)}); err != nil {
				return err
			}
			n, err := tx.Overwrite("t", "b", []byte{200 - byte(i%200)})
			if err == nil {
				defer answered.Store("n", n-1) // of the procedure before, which was answered
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	for range 3 {
		if err := receive(t, ctx, done); err != nil {
			t.Error(err)
		}
	}
	if n := s.Stats(); n.Checkpoints == 0 {
		t.Errorf("no checkpoint happened: %+v", n)
	}
}

func TestLogStaysShort(t *testing.T) {
	for _, limit := range []int{50, -1} {
		o := options()
		o.CheckpointPages = limit
		o.Durability = kvstore.OSBuffered
		s := openFile(t, o)
		ctx := watchdog(t)
		longest := 0
		for range 500 {
			if _, err := s.Overwrite(ctx, "t", "k", make([]byte, 5000)); err != nil {
				t.Fatal(err)
			}
			longest = max(longest, s.Stats().LogPages)
		}
		n := s.Stats()
		if limit > 0 && (n.Checkpoints < 10 || longest > 2*limit) {
			t.Errorf("%d checkpoints, the log grew to %d pages with a limit of %d", n.Checkpoints, longest, limit)
		}
		if limit < 0 && n.Checkpoints != 0 {
			t.Errorf("%d checkpoints, want none before Close", n.Checkpoints)
		}
	}
}

// A View that stays open keeps the log from starting over, but neither blocks
// the writer nor costs it a checkpoint at every commit.
func TestLongViewBesideCheckpoints(t *testing.T) {
	o := options()
	o.CheckpointPages = 50
	o.Durability = kvstore.OSBuffered
	s := openFile(t, o)
	ctx := watchdog(t)
	s.Add(ctx, "t", "k", nil)
	err := s.View(ctx, func(tx *kvstore.ReadTx) error {
		for range 300 {
			if _, err := s.Overwrite(ctx, "t", "k", make([]byte, 5000)); err != nil {
				return err
			}
		}
		e, _, err := tx.Get("t", "k")
		if len(e.Value) != 0 {
			return fmt.Errorf("the snapshot moved: %d bytes", len(e.Value))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	grown := s.Stats().LogPages
	for range 1200 {
		if _, err := s.Overwrite(ctx, "t", "k", make([]byte, 5000)); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Stats(); n.Checkpoints == 0 || n.LogPages >= grown+1200 {
		t.Errorf("the log had %d pages under the View and has %+v after it: want it to start over", grown, n)
	}
}

func TestSweeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time passes when all wait, the ticker's too
		o := kvstore.Options{Tables: kvstore.Tables("t", "other")}
		s, err := kvstore.OpenMemory(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		err = s.Execute(ctx, func(tx *kvstore.Tx) error {
			for i := range 1000 {
				if _, err := tx.Add("t", fmt.Sprint(i), nil, kvstore.TTL(1500*time.Millisecond)); err != nil {
					return err
				}
			}
			_, err := tx.Add("t", "stays", nil)
			return err
		})
		if err != nil {
			t.Error(err)
		}
		time.Sleep(1200 * time.Millisecond)
		synctest.Wait()
		if n := s.Stats().Swept; n != 0 {
			t.Errorf("swept %d entries that have not expired", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := s.Stats().Swept; n != 1000 {
			t.Errorf("swept %d entries, want 1000", n)
		}
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

// On a quiet store the log is carried over without waiting for more.
func TestIdleCheckpoint(t *testing.T) {
	o := options()
	o.Durability = kvstore.OSBuffered
	s := openPath(t, filepath.Join(t.TempDir(), "store.db"), o)
	ctx := watchdog(t)
	if _, err := s.Overwrite(ctx, "t", "k", make([]byte, 5<<20)); err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, "a checkpoint", func() bool { return s.Stats().Checkpoints == 1 })
}

// Views of a mapped file see it grow, and see what stands in the log.
func TestMapFile(t *testing.T) {
	o := options()
	o.MapFile, o.CheckpointPages = true, 20
	s := openFile(t, o)
	ctx := watchdog(t)
	for i := range 300 {
		key := fmt.Sprint(i)
		if _, err := s.Add(ctx, "t", key, []byte(strings.Repeat(key, 3000))); err != nil {
			t.Fatal(err)
		}
		for _, look := range []int{0, i / 2, i} {
			key := fmt.Sprint(look)
			if got := mustGet(t, s, key); got != strings.Repeat(key, 3000) {
				t.Fatalf("after %d: %s holds %d bytes", i, key, len(got))
			}
		}
	}
	if n := s.Stats().Checkpoints; n < 5 {
		t.Errorf("%d checkpoints", n)
	}
	for _, tt := range []struct {
		s      *kvstore.Store
		mapped bool
	}{{s, true}, {openFile(t, options()), false}} {
		n, err := kvstore.View(ctx, tt.s, (*kvstore.ReadTx).MappedBytes)
		if (n > 0) != tt.mapped || err != nil {
			t.Errorf("%d bytes are mapped, %v", n, err)
		}
	}
}
