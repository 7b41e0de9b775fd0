package kvstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"postern/kvstore"
)

// onError calls a function at every error that is logged.
type onError struct {
	slog.Handler
	do func()
}

func (h onError) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }
func (h onError) Handle(context.Context, slog.Record) error        { h.do(); return nil }

// A store that stops looks at its log no more: a disk that fails at that moment is not
// a second reason to stop.
func TestStoppedStoreMakesNoCheckpoint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	o := options()
	o.CheckpointPages, o.MaxBatchTime = 30, time.Hour
	o.Logger = slog.New(onError{slog.DiscardHandler, func() {
		if err := os.Truncate(path+"-wal", 32); err != nil {
			t.Error(err)
		}
	}})
	s := openPath(t, path, o)
	ctx := watchdog(t)
	release := hold(t, ctx, s)
	cause := errors.New("stop")
	answers := queue(t, ctx, s, 2, func(i int, tx *kvstore.Tx) error {
		if i == 1 {
			return kvstore.Fatal(cause)
		}
		_, err := tx.Overwrite("t", "k", make([]byte, 1<<20))
		return err
	})
	release()
	if err := receive(t, ctx, answers[0]); err != nil {
		t.Error(err)
	}
	wantErr(t, "stopped", receive(t, ctx, answers[1]), kvstore.ErrStopped, cause)
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	if n := s.Stats().Checkpoints; n != 0 {
		t.Errorf("%d checkpoints", n)
	}
}

// Close leaves the log of a stopped store as it is, with readers or without.
func TestStoppedStoreKeepsItsLog(t *testing.T) {
	for _, readers := range []int{1, -1} {
		path := filepath.Join(t.TempDir(), "store.db")
		o := options()
		o.Readers = readers
		s := openPath(t, path, o)
		ctx := watchdog(t)
		s.Overwrite(ctx, "t", "k", []byte("v"))
		wantErr(t, "stop", s.Execute(ctx, func(*kvstore.Tx) error { return kvstore.Fatal(errors.New("stop")) }), kvstore.ErrStopped)
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
			t.Errorf("with %d readers: the log is gone, %v", readers, err)
		}
		if got := mustGet(t, openPath(t, path, o), "k"); got != "v" {
			t.Errorf("with %d readers: %s", readers, got)
		}
	}
}

// What stopped one store, passed on by a procedure of another, does not stop that one;
// nor does a View stop anything, wherever it runs.
func TestStoppingIsNotContagious(t *testing.T) {
	ctx := watchdog(t)
	broken := openMemory(t, options())
	broken.Execute(ctx, func(*kvstore.Tx) error { return kvstore.Fatal(errors.New("stop")) })
	eachKind(t, options(), func(t *testing.T, s *kvstore.Store) {
		err := s.Execute(ctx, func(*kvstore.Tx) error { return fmt.Errorf("elsewhere: %w", broken.Err()) })
		wantErr(t, "passed on", err, kvstore.ErrStopped)
		if err.Error() != "elsewhere: kvstore: store stopped: stop" {
			t.Errorf("changed to %v", err)
		}
		own := kvstore.Fatal(errors.New("in a View"))
		if err := s.View(ctx, func(*kvstore.ReadTx) error { return own }); err != own {
			t.Errorf("View: %v", err)
		}
		if s.Err() != nil {
			t.Errorf("stopped: %v", s.Err())
		}
		err = s.Execute(ctx, func(*kvstore.Tx) error { return kvstore.Fatal(broken.Err()) })
		wantErr(t, "fatal here too", err, kvstore.ErrStopped)
		if s.Err() == nil {
			t.Error("a marked error did not stop the store")
		}
	})
}

// A panic in a one-operation form is one in a procedure.
func TestPanicInAnOperationFailsItsCallerOnly(t *testing.T) {
	o := options()
	o.OnPanic = kvstore.FailCaller
	eachKind(t, o, func(t *testing.T, s *kvstore.Store) {
		ctx := watchdog(t)
		_, err := s.Add(ctx, "t", "k", nil, nil) // an option that is nil
		var p *kvstore.PanicError
		if !errors.As(err, &p) || s.Err() != nil {
			t.Errorf("got %v, stopped: %v", err, s.Err())
		}
		if got := mustGet(t, s, "k"); got != "absent" {
			t.Errorf("got %q", got)
		}
	})
}

// A procedure that has panicked does not run any more, and is not slow.
func TestPanicIsNotSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options()
		o.OnPanic = kvstore.FailCaller
		o.OnSlow = func(info kvstore.SlowInfo) { t.Errorf("told %+v of an idle store", info) }
		s, err := kvstore.OpenMemory(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		if err := s.Execute(ctx, func(*kvstore.Tx) error { panic("oops") }); err == nil {
			t.Error("no error")
		}
		time.Sleep(time.Minute) // passes when all wait
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

// An operation that meets damage when it has done half of its work leaves nothing of
// it, though its neighbours share the transaction.
func TestDamageMetHalfWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	o := options()
	o.MaxBatchTime = time.Hour
	s := openPath(t, path, o)
	ctx := watchdog(t)
	const rows = 3000
	err := s.Execute(ctx, func(tx *kvstore.Tx) error {
		for i := range rows {
			if _, err := tx.Add("t", fmt.Sprint(i), nil, kvstore.TTL(time.Hour)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.Number(ctx, `SELECT max(pageno) FROM dbstat WHERE name = 'kv_exp_t' AND pagetype = 'leaf'`)
	if err != nil {
		t.Skip(err) // built without dbstat
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 4096), (page-1)*4096); err != nil {
		t.Fatal(err)
	}
	f.Close()

	s = openPath(t, path, o)
	release := hold(t, ctx, s)
	neighbour := queue(t, ctx, s, 1, func(_ int, tx *kvstore.Tx) error {
		_, err := tx.Overwrite("other", "k", nil)
		return err
	})[0]
	cleared := make(chan error, 1)
	go func() { _, err := s.Clear(ctx, "t"); cleared <- err }()
	eventually(t, ctx, "queued", func() bool { return s.Stats().Queued == 2 })
	release()
	wantErr(t, "clear", receive(t, ctx, cleared), kvstore.ErrStopped, kvstore.ErrCorrupt)
	answer := receive(t, ctx, neighbour)
	if err := s.Close(ctx); err != nil {
		t.Log(err)
	}
	s = openPath(t, path, o)
	if keys, err := s.ListKeys(ctx, "t"); len(keys) != rows || err != nil {
		t.Errorf("%d of %d rows are left, %v", len(keys), rows, err)
	}
	if keys, err := s.ListKeys(ctx, "other"); (len(keys) == 1) != (answer == nil) || err != nil {
		t.Errorf("the neighbour was answered %v and left %v, %v", answer, keys, err)
	}
}
