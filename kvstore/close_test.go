package kvstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"postern/kvstore"
)

func TestCloseRunsWhatIsQueued(t *testing.T) {
	eachKind(t, options(), func(t *testing.T, s *kvstore.Store) {
		ctx := watchdog(t)
		release := hold(t, ctx, s)
		ran := make([]bool, 10)
		answers := queue(t, ctx, s, 10, func(i int, tx *kvstore.Tx) error {
			ran[i] = true
			return nil
		})
		closed := make(chan error, 2)
		for range cap(closed) {
			go func() { closed <- s.Close(ctx) }()
		}
		// Refused from the moment that Close was called, though nothing is closed yet.
		callCtx, cancel := context.WithCancel(ctx)
		cancel() // so that a call that is not refused does not wait behind the held store
		eventually(t, ctx, "refused", func() bool {
			err := s.View(callCtx, func(*kvstore.ReadTx) error { return nil })
			return errors.Is(err, kvstore.ErrClosed)
		})
		if s.Err() != nil {
			t.Errorf("Err with procedures still to run: %v", s.Err())
		}
		release()
		for i, a := range answers {
			if err := receive(t, ctx, a); err != nil || !ran[i] {
				t.Errorf("procedure %d: %v, ran: %v", i, err, ran[i])
			}
		}
		for range cap(closed) {
			if err := receive(t, ctx, closed); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		receive(t, ctx, s.Done())
		wantErr(t, "Err", s.Err(), kvstore.ErrClosed)
		wantErr(t, "execute", s.Execute(ctx, func(*kvstore.Tx) error { return nil }), kvstore.ErrClosed)
		wantErr(t, "view", s.View(ctx, func(*kvstore.ReadTx) error { return nil }), kvstore.ErrClosed)
		_, err := s.Sweep(ctx)
		wantErr(t, "sweep", err, kvstore.ErrClosed)
		if err := s.Close(ctx); err != nil {
			t.Errorf("close again: %v", err)
		}
	})
}

func TestCloseCutsOffWhenItsContextEnds(t *testing.T) {
	eachKind(t, options(), func(t *testing.T, s *kvstore.Store) {
		ctx := watchdog(t)
		running, resume := make(chan struct{}), make(chan struct{})
		first := make(chan error, 1)
		go func() {
			first <- s.Execute(ctx, func(tx *kvstore.Tx) error {
				close(running)
				<-resume
				_, err := tx.Add("t", "k", nil)
				return err
			})
		}()
		receive(t, ctx, running)
		ran := false
		queued := queue(t, ctx, s, 1, func(int, *kvstore.Tx) error { ran = true; return nil })[0]

		closeCtx, cancel := context.WithCancel(ctx)
		cancel()
		wantErr(t, "close", s.Close(closeCtx), context.Canceled)
		close(resume)
		wantErr(t, "running", receive(t, ctx, first), kvstore.ErrClosed)
		wantErr(t, "queued", receive(t, ctx, queued), kvstore.ErrClosed)
		if err := s.Close(ctx); err != nil {
			t.Errorf("close again: %v", err)
		}
		if ran {
			t.Error("the queued procedure ran")
		}
	})
}

func TestCloseWaitsForViews(t *testing.T) {
	s := openFile(t, options())
	ctx := watchdog(t)
	s.Add(ctx, "t", "k", []byte("v"))
	viewing, resume := make(chan struct{}), make(chan struct{})
	view := make(chan error, 1)
	go func() {
		view <- s.View(ctx, func(tx *kvstore.ReadTx) error {
			close(viewing)
			<-resume
			_, found, err := tx.Get("t", "k")
			if !found && err == nil {
				t.Error("the open View lost its entry")
			}
			return err
		})
	}()
	receive(t, ctx, viewing)
	closed := make(chan error, 1)
	go func() { closed <- s.Close(ctx) }()
	receive(t, ctx, s.Done()) // no more procedures
	select {
	case err := <-closed:
		t.Fatalf("close returned %v with a View open", err)
	default:
	}
	close(resume)
	if err := receive(t, ctx, view); err != nil {
		t.Errorf("view: %v", err)
	}
	if err := receive(t, ctx, closed); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestCloseLeavesOneFileAndItsLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := openPath(t, path, options())
	ctx := watchdog(t)
	s.Add(ctx, "t", "k", nil)
	if _, err := os.Stat(path + "-wal"); err != nil {
		t.Errorf("an open store has a log: %v", err)
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(path + "*")
	if err != nil || len(names) != 2 || names[1] != path+".lock" {
		t.Errorf("after Close there are %v, %v", names, err)
	}
	if text, err := os.ReadFile(path + ".lock"); err != nil || len(text) != 0 {
		t.Errorf("the lock file says %q, %v; want nothing", text, err)
	}
}

func TestNoGoroutineStays(t *testing.T) {
	ctx := watchdog(t)
	before := runtime.NumGoroutine()
	for range 5 {
		for _, open := range []func() (*kvstore.Store, error){
			func() (*kvstore.Store, error) { return kvstore.OpenMemory(options()) },
			func() (*kvstore.Store, error) {
				return kvstore.Open(filepath.Join(t.TempDir(), "store.db"), options())
			},
		} {
			s, err := open()
			if err != nil {
				t.Fatal(err)
			}
			for range 5 {
				s.Overwrite(ctx, "t", "k", nil)
				s.Get(ctx, "t", "k")
			}
			if err := s.Close(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, ctx, "goroutines ended", func() bool { return runtime.NumGoroutine() <= before })
}
