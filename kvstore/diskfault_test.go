package kvstore_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	lib "modernc.org/sqlite/lib"

	"postern/internal/faultvfs"
	"postern/kvstore"
)

// A statement that the disk has no room for rolls back the whole transaction
// when it has begun to write to the log. Its neighbours in the queue lose
// nothing by it.
func TestFullInAStatement(t *testing.T) {
	disk, s := openOnDisk(t, options())
	ctx := watchdog(t)
	if _, err := s.Number(ctx, "PRAGMA cache_size = 10"); err != nil { // pages: the log is written early
		t.Fatal(err)
	}
	release := hold(t, ctx, s)
	var full sync.Once
	answers := queue(t, ctx, s, 5, func(i int, tx *kvstore.Tx) error {
		if err := enterPair(tx, fmt.Sprint(i)); err != nil {
			return err
		}
		if i == 2 {
			full.Do(func() { disk.Inject(faultvfs.Fault{Op: faultvfs.Write, Code: lib.SQLITE_FULL}) })
			_, err := tx.Add("t", "big", make([]byte, 1<<20))
			return err
		}
		return nil
	})
	release()
	for i, a := range answers {
		err := receive(t, ctx, a)
		if i == 2 {
			wantErr(t, "the big one", err, kvstore.ErrFull)
		} else if err != nil {
			t.Errorf("procedure %d: %v", i, err)
		}
	}
	if disk.Failed() != 1 {
		t.Fatalf("%d writes failed, want 1", disk.Failed())
	}
	present, err := readPairs(ctx, s)
	if err != nil || len(present) != 4 || present["2"] {
		t.Errorf("present: %v, %v", present, err)
	}
}

// When the disk is full at COMMIT nothing is applied and all are told, also
// those whose own error rests on what was not committed.
func TestFullInCommit(t *testing.T) {
	for _, code := range []int32{lib.SQLITE_FULL, lib.SQLITE_IOERR_WRITE} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			disk, s := openOnDisk(t, options())
			ctx := watchdog(t)
			release := hold(t, ctx, s)
			var full sync.Once
			answers := queue(t, ctx, s, 3, func(i int, tx *kvstore.Tx) error {
				full.Do(func() { disk.Inject(faultvfs.Fault{Op: faultvfs.Write, Forever: true, Code: code}) })
				return enterPair(tx, "the same")
			})
			release()
			for i, a := range answers {
				err := receive(t, ctx, a)
				wantErr(t, fmt.Sprint("procedure ", i), err, kvstore.ErrFull)
				if errors.Is(err, kvstore.ErrExists) || errors.Is(err, kvstore.ErrIndeterminate) {
					t.Errorf("procedure %d: %v", i, err)
				}
			}
			if s.Err() != nil {
				t.Fatalf("stopped: %v", s.Err())
			}
			disk.Clear()
			if present, err := readPairs(ctx, s); err != nil || len(present) != 0 {
				t.Errorf("present: %v, %v", present, err)
			}
			if err := s.Execute(ctx, func(tx *kvstore.Tx) error { return enterPair(tx, "the same") }); err != nil {
				t.Errorf("with room again: %v", err)
			}
		})
	}
}

// A failed flush in COMMIT leaves the outcome of those in it open and stops
// the store: all who wait are told at once, and why.
func TestFailedFlush(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	disk, err := faultvfs.Mount(filepath.Dir(path), faultvfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(disk.Unmount)
	o := options()
	o.QueueLen = 10 // so that some wait before the queue
	s := openPath(t, path, o)
	ctx := watchdog(t)
	if err := s.Execute(ctx, func(tx *kvstore.Tx) error { return enterPair(tx, "before") }); err != nil {
		t.Fatal(err)
	}
	release := hold(t, ctx, s)
	l := &ledger{answers: map[string]error{"before": nil}}
	answers := queue(t, ctx, s, o.QueueLen, func(i int, tx *kvstore.Tx) error { return enterPair(tx, fmt.Sprint(i)) })
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			name := fmt.Sprint("late ", i)
			l.answer(name, s.Execute(ctx, func(tx *kvstore.Tx) error { return enterPair(tx, name) }))
		})
	}
	disk.Inject(faultvfs.Fault{Op: faultvfs.Sync, Forever: true, Code: lib.SQLITE_IOERR_FSYNC})
	release()
	for i, a := range answers {
		l.answer(fmt.Sprint(i), receive(t, ctx, a))
	}
	group.Wait()
	if disk.Failed() != 1 {
		t.Errorf("%d flushes failed, want 1 and then no other attempt", disk.Failed())
	}
	if err := l.answers["0"]; !errors.Is(err, kvstore.ErrIndeterminate) {
		t.Errorf("the first of the transaction: %v, want ErrIndeterminate", err)
	}
	for name, err := range l.answers {
		if name != "before" {
			wantErr(t, name, err, kvstore.ErrStopped)
			if err != nil && !strings.Contains(err.Error(), "commit: ") {
				t.Errorf("%s: %v does not say what failed", name, err)
			}
		}
	}
	if err := s.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	if disk.Failed() != 1 {
		t.Error("Close flushed something: it must leave the log as it is")
	}
	disk.Clear()
	if err := l.check(ctx, path); err != nil {
		t.Error(err)
	}
}

// While a flush is under way no View sees what it is to make safe: it may fail.
func TestNothingUnflushedIsSeen(t *testing.T) {
	var s *kvstore.Store
	var inFlight string // key that the procedure under way writes
	ctx := watchdog(t)
	looked := 0
	path := filepath.Join(t.TempDir(), "store.db")
	disk, err := faultvfs.Mount(filepath.Dir(path), faultvfs.Config{
		OnSync: func(file string, _ bool) {
			if inFlight == "" || file != path+"-wal" {
				return
			}
			type seen struct {
				found bool
				err   error
			}
			answer := make(chan seen, 1)
			go func() { // Views do not belong on the storage goroutine
				_, found, err := s.Get(ctx, "t", inFlight)
				answer <- seen{found, err}
			}()
			if a := <-answer; a.found || a.err != nil {
				t.Errorf("%s: found %v, %v", inFlight, a.found, a.err)
			}
			looked++
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(disk.Unmount)
	s = openPath(t, path, options())
	for i := range 10 {
		key := fmt.Sprint(i)
		err := s.Execute(ctx, func(tx *kvstore.Tx) error {
			inFlight = key
			_, err := tx.Add("t", key, nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if inFlight = ""; looked < 20 {
		t.Errorf("looked %d times", looked)
	}
}

// openOnDisk opens a new store on a disk that can fail.
func openOnDisk(t *testing.T, o kvstore.Options) (*faultvfs.Disk, *kvstore.Store) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	disk, err := faultvfs.Mount(filepath.Dir(path), faultvfs.Config{NoFlush: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(disk.Unmount)
	s := openPath(t, path, o)
	t.Cleanup(disk.Clear) // before the store is closed
	return disk, s
}
