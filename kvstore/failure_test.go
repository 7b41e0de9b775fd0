package kvstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"

	"postern/kvstore"
)

func TestPanicStopsTheStore(t *testing.T) {
	eachKind(t, options(), func(t *testing.T, s *kvstore.Store) {
		ctx := watchdog(t)
		s.Add(ctx, "t", "before", []byte("v"))
		release := hold(t, ctx, s)
		cause := errors.New("broken invariant")
		ran := make([]bool, 4)
		answers := queue(t, ctx, s, 4, func(i int, tx *kvstore.Tx) error {
			ran[i] = true
			if _, err := tx.Add("t", fmt.Sprint(i), nil); err != nil {
				return err
			}
			if i == 1 {
				panic(cause)
			}
			return nil
		})
		release()
		if err := receive(t, ctx, answers[0]); err != nil {
			t.Errorf("the one before: %v, want it committed", err)
		}
		for i, a := range answers[1:] {
			err := receive(t, ctx, a)
			wantErr(t, fmt.Sprint("procedure ", i+1), err, kvstore.ErrStopped, cause)
			wantText(t, "stopped", err, "broken invariant")
			var p *kvstore.PanicError
			if !errors.As(err, &p) || !bytes.Contains(p.Stack, []byte("TestPanicStopsTheStore")) {
				t.Errorf("procedure %d: %v carries no stack of the panic", i+1, err)
			}
		}
		if ran[2] || ran[3] {
			t.Error("procedures ran after the panic")
		}
		receive(t, ctx, s.Done())
		wantErr(t, "Err", s.Err(), kvstore.ErrStopped, cause)
		wantErr(t, "later Execute", s.Execute(ctx, func(*kvstore.Tx) error { return nil }), kvstore.ErrStopped)
		wantErr(t, "later View", s.View(ctx, func(*kvstore.ReadTx) error { return nil }), kvstore.ErrStopped)
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		wantErr(t, "after Close too", s.Execute(ctx, func(*kvstore.Tx) error { return nil }), kvstore.ErrStopped)
	})
}

func TestStoppedStoreKeepsWhatWasAnswered(t *testing.T) {
	path := t.TempDir() + "/store.db"
	ctx := watchdog(t)
	s := openPath(t, path, options())
	s.Add(ctx, "t", "before", []byte("v"))
	err := s.Execute(ctx, func(tx *kvstore.Tx) error {
		tx.Overwrite("t", "before", []byte("half"))
		return fmt.Errorf("wrapped: %w", kvstore.Fatal(errors.New("cause")))
	})
	wantErr(t, "fatal", err, kvstore.ErrStopped)
	wantText(t, "fatal", err, "stopped", "wrapped: cause")
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	s = openPath(t, path, options())
	if got := mustGet(t, s, "before"); got != "v" {
		t.Errorf("got %s, want v", got)
	}
}

func TestFatalOfNil(t *testing.T) {
	s := openMemory(t, options())
	if err := s.Execute(watchdog(t), func(*kvstore.Tx) error { return kvstore.Fatal(nil) }); err != nil {
		t.Error(err)
	}
	if s.Err() != nil {
		t.Errorf("stopped: %v", s.Err())
	}
}

func TestPanicFailsItsCallerOnly(t *testing.T) {
	var log bytes.Buffer
	o := options()
	o.OnPanic = kvstore.FailCaller
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s := openFile(t, o)
	ctx := watchdog(t)
	err := s.Execute(ctx, func(tx *kvstore.Tx) error {
		tx.Add("t", "k", nil)
		panic("oops")
	})
	var p *kvstore.PanicError
	if !errors.As(err, &p) || p.Value != "oops" || errors.Is(err, kvstore.ErrStopped) {
		t.Errorf("got %v, want a PanicError and no more", err)
	}
	wantText(t, "panic", err, "oops")
	if got := mustGet(t, s, "k"); got != "absent" {
		t.Errorf("half of the procedure stayed: %q", got)
	}
	if _, err := s.Add(ctx, "t", "k", nil); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if !strings.Contains(log.String(), "oops") {
		t.Errorf("not logged: %s", &log)
	}
}

func TestPanicInViewGoesToItsCaller(t *testing.T) {
	eachKind(t, options(), func(t *testing.T, s *kvstore.Store) {
		ctx := watchdog(t)
		for range 10 { // more often than there are readers
			func() {
				defer func() {
					if v := recover(); v != "mine" {
						t.Errorf("recovered %v, want mine", v)
					}
				}()
				s.View(ctx, func(*kvstore.ReadTx) error { panic("mine") })
			}()
		}
		if _, err := s.Add(ctx, "t", "k", []byte("v")); err != nil {
			t.Error(err)
		}
		if got := mustGet(t, s, "k"); got != "v" {
			t.Errorf("got %s, want v", got)
		}
	})
}

func TestGoexitStopsTheStore(t *testing.T) {
	eachKind(t, options(), func(t *testing.T, s *kvstore.Store) {
		ctx := watchdog(t)
		release := hold(t, ctx, s)
		answers := queue(t, ctx, s, 2, func(i int, tx *kvstore.Tx) error {
			tx.Add("t", "k", nil)
			runtime.Goexit()
			return nil
		})
		release()
		for _, a := range answers {
			err := receive(t, ctx, a)
			wantErr(t, "goexit", err, kvstore.ErrStopped)
			wantText(t, "goexit", err, "Goexit")
		}
	})
}

func TestNilProcedurePanicsInTheCaller(t *testing.T) {
	s := openMemory(t, options())
	ctx := watchdog(t)
	for _, call := range []func(){
		func() { s.Execute(ctx, nil) },
		func() { s.View(ctx, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		}()
	}
	if s.Err() != nil {
		t.Errorf("the store stopped: %v", s.Err())
	}
}

func TestFull(t *testing.T) {
	eachKind(t, options(), func(t *testing.T, s *kvstore.Store) {
		ctx := watchdog(t)
		s.Add(ctx, "t", "before", []byte("v"))
		if err := s.LimitPages(ctx, 2); err != nil {
			t.Fatal(err)
		}
		big := make([]byte, 1<<20)
		err := s.Execute(ctx, func(tx *kvstore.Tx) error {
			if _, err := tx.Add("t", "small", nil); err != nil {
				return err
			}
			_, err := tx.Add("t", "big", big)
			return err
		})
		wantErr(t, "full", err, kvstore.ErrFull)
		wantText(t, "full", err)

		err = s.Execute(ctx, func(tx *kvstore.Tx) error {
			tx.Add("t", "big", big)
			_, err := tx.Add("t", "small", nil)
			wantErr(t, "the next operation", err, kvstore.ErrFull)
			return nil // as if nothing had happened
		})
		wantErr(t, "swallowed", err, kvstore.ErrFull)

		for _, key := range []string{"small", "big"} {
			if got := mustGet(t, s, key); got != "absent" {
				t.Errorf("%s stayed: %d bytes", key, len(got))
			}
		}
		if err := s.LimitPages(ctx, -1); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Add(ctx, "t", "big", big); err != nil {
			t.Errorf("with room again: %v", err)
		}
		if got := mustGet(t, s, "before"); got != "v" {
			t.Errorf("before: %s", got)
		}
	})
}

func TestEngineFailures(t *testing.T) {
	for _, c := range []struct {
		code    sqlite.ResultCode
		is      error // beside ErrStopped when fatal
		fatal   bool
		unknown bool // when COMMIT fails with it
	}{
		{sqlite.ResultFull, kvstore.ErrFull, false, false},
		{sqlite.ResultIOErrWrite, kvstore.ErrFull, false, false},
		{sqlite.ResultTooBig, kvstore.ErrTooLarge, false, false},
		{sqlite.ResultBusy, nil, false, false},
		{sqlite.ResultNoMem, nil, false, false},
		{sqlite.ResultIOErrNoMem, nil, false, false},
		{sqlite.ResultIOErrRead, nil, true, true},
		{sqlite.ResultIOErrFsync, nil, true, true},
		{sqlite.ResultIOErrSHMMap, nil, true, true},
		{sqlite.ResultCorrupt, kvstore.ErrCorrupt, true, true},
		{sqlite.ResultCorruptVTab, kvstore.ErrCorrupt, true, true},
		{sqlite.ResultNotADB, kvstore.ErrCorrupt, true, true},
	} {
		t.Run(c.code.String(), func(t *testing.T) {
			if got := kvstore.CommitUnknown(c.code); got != c.unknown {
				t.Errorf("commit unknown: %v, want %v", got, c.unknown)
			}
			s := openMemory(t, options())
			ctx := watchdog(t)
			err := s.Execute(ctx, func(tx *kvstore.Tx) error {
				if _, err := tx.Add("t", "k", nil); err != nil {
					return err
				}
				tx.BreakEngine(c.code)
				return nil // swallowed
			})
			wantText(t, "failure", err)
			if c.is != nil {
				wantErr(t, "failure", err, c.is)
			}
			if c.fatal {
				wantErr(t, "failure", err, kvstore.ErrStopped)
				wantErr(t, "Err", s.Err(), kvstore.ErrStopped)
				return
			}
			if s.Err() != nil {
				t.Fatalf("stopped: %v", s.Err())
			}
			if got := mustGet(t, s, "k"); got != "absent" {
				t.Errorf("half of the procedure stayed: %q", got)
			}
		})
	}
}

func TestProcedureErrorAboutAnEngineFailureIsKept(t *testing.T) {
	s := openMemory(t, options())
	var mine error
	err := s.Execute(watchdog(t), func(tx *kvstore.Tx) error {
		mine = fmt.Errorf("saving the order: %w", tx.BreakEngine(sqlite.ResultFull))
		return mine
	})
	if err != mine {
		t.Errorf("got %v, want the procedure's own error", err)
	}
}
