package kvstore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	lib "modernc.org/sqlite/lib"

	"postern/internal/faultvfs"
	"postern/kvstore"
)

// stopsWithin is how soon everyone must know that the store has stopped, counted from
// the failure.
const stopsWithin = 100 * time.Millisecond

// However the store stops, all who wait and all who come later are told at once and
// why. It takes about a millisecond; a busy machine may let anybody wait, so that the
// best of a few stores counts: a store that was slow by itself would always be.
func TestStopIsToldAtOnce(t *testing.T) {
	cause := errors.New("the cause")
	for name, fail := range map[string]func(*faultvfs.Disk) error{
		"panic":  func(*faultvfs.Disk) error { panic(cause) },
		"fatal":  func(*faultvfs.Disk) error { return kvstore.Fatal(cause) },
		"commit": failAtCommit,
	} {
		t.Run(name, func(t *testing.T) {
			best := time.Duration(1<<63 - 1)
			for try := 0; try < 5 && best > stopsWithin && !t.Failed(); try++ {
				took := stopOne(t, fail, func(what string, err error) {
					wantErr(t, what, err, kvstore.ErrStopped)
					if name == "commit" {
						if err == nil || !strings.Contains(err.Error(), "commit: ") {
							t.Errorf("%s: %v does not say what failed", what, err)
						}
						return
					}
					wantErr(t, what, err, cause)
				})
				t.Logf("all knew after %v", took)
				best = min(best, took)
			}
			if best > stopsWithin {
				t.Errorf("the last caller knew after %v, at best", best)
			}
		})
	}
}

// failAtCommit lets a procedure succeed and its flush to disk fail.
func failAtCommit(d *faultvfs.Disk) error {
	d.Inject(faultvfs.Fault{Op: faultvfs.Sync, Forever: true, Code: lib.SQLITE_IOERR_FSYNC})
	return nil
}

// stopOne stops a store with a procedure of fail's, shows check the errors of those who
// wait in every place and of those who come later, and returns how long it was until
// the last of them had it.
func stopOne(t *testing.T, fail func(*faultvfs.Disk) error, check func(what string, err error)) time.Duration {
	path := filepath.Join(t.TempDir(), "store.db")
	disk, err := faultvfs.Mount(filepath.Dir(path), faultvfs.Config{NoFlush: true})
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Unmount()
	const inQueue, before = 10, 50
	o := options()
	o.QueueLen = inQueue
	s := openPath(t, path, o)
	ctx := watchdog(t)

	type answer struct {
		what string
		err  error
	}
	answers := make(chan answer)
	watched, _ := watch(ctx, s, "t", "")
	s.Overwrite(ctx, "t", "k", nil)
	watched()
	go func() {
		var err error
		for err == nil { // what was committed before the failure comes first
			_, err = watched()
		}
		answers <- answer{"a watch", err}
	}()
	release := hold(t, ctx, s)
	var failed time.Time
	inLine := queue(t, ctx, s, inQueue, func(i int, tx *kvstore.Tx) error {
		_, err := tx.Overwrite("t", fmt.Sprint(i), nil)
		if i == inQueue/2 && err == nil {
			failed = time.Now()
			err = fail(disk)
		}
		return err
	})
	for i := range before {
		go func() {
			err := s.Execute(ctx, func(tx *kvstore.Tx) error { _, err := tx.Overwrite("t", "late", nil); return err })
			answers <- answer{fmt.Sprint("before the queue: ", i), err}
		}()
	}
	release()
	told := 0
	for i, a := range inLine {
		// Those before the failure may share its transaction and be committed.
		if err := receive(t, ctx, a); i >= inQueue/2 || err != nil {
			check(fmt.Sprint("in the queue: ", i), err)
			told++
		}
	}
	for range before + 1 {
		a := receive(t, ctx, answers)
		check(a.what, a.err)
	}
	check("later Execute", s.Execute(ctx, func(*kvstore.Tx) error { return nil }))
	_, err = s.Overwrite(ctx, "t", "k", nil)
	check("later Overwrite", err)
	_, _, err = s.Get(ctx, "t", "k")
	check("later Get", err)
	check("later View", s.View(context.Background(), func(*kvstore.ReadTx) error { return nil }))
	_, err = s.Sweep(ctx)
	check("later Sweep", err)
	took := time.Since(failed)
	if told < inQueue/2 {
		t.Errorf("%d of the queue were told", told)
	}
	if err := s.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	return took
}
