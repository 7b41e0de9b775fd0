package kvstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"postern/kvstore"
)

func TestCancelWhileQueued(t *testing.T) {
	eachKind(t, options(), func(t *testing.T, s *kvstore.Store) {
		ctx := watchdog(t)
		release := hold(t, ctx, s)
		callCtx, cancel := context.WithCancel(ctx)
		ran := false
		answer := queue(t, callCtx, s, 1, func(int, *kvstore.Tx) error {
			ran = true
			return nil
		})[0]
		cancel()
		err := receive(t, ctx, answer) // while the store is still held
		wantErr(t, "cancelled", err, context.Canceled)
		wantText(t, "cancelled", err)
		release()
		if _, err := s.Overwrite(ctx, "t", "k", nil); err != nil { // behind it in the queue
			t.Error(err)
		}
		if ran {
			t.Error("the procedure ran after its caller had been answered")
		}

		err = s.Execute(callCtx, func(*kvstore.Tx) error { ran = true; return nil })
		wantErr(t, "cancelled before the call", err, context.Canceled)
		err = s.View(callCtx, func(*kvstore.ReadTx) error { ran = true; return nil })
		wantErr(t, "view cancelled before the call", err, context.Canceled)
		if ran {
			t.Error("ran with a context that had ended")
		}
	})
}

func TestCancelWhileBlockedBeforeTheQueue(t *testing.T) {
	for _, queueLen := range []int{-1, 1} {
		t.Run(fmt.Sprint(queueLen), func(t *testing.T) {
			o := options()
			o.QueueLen = queueLen
			s := openMemory(t, o)
			ctx := watchdog(t)
			release := hold(t, ctx, s)
			var answers []<-chan error
			if queueLen > 0 {
				answers = queue(t, ctx, s, queueLen, func(int, *kvstore.Tx) error { return nil })
			}
			callCtx, cancel := context.WithCancel(ctx)
			blocked := make(chan error)
			go func() { blocked <- s.Execute(callCtx, func(*kvstore.Tx) error { return nil }) }()
			cancel()
			wantErr(t, "blocked", receive(t, ctx, blocked), context.Canceled)
			release()
			for _, a := range answers {
				wantErr(t, "queued", receive(t, ctx, a), nil)
			}
			if err := s.Execute(ctx, func(*kvstore.Tx) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCancelWhileRunning(t *testing.T) {
	eachKind(t, options(), func(t *testing.T, s *kvstore.Store) {
		ctx := watchdog(t)
		callCtx, cancel := context.WithCancel(ctx)
		err := s.Execute(callCtx, func(tx *kvstore.Tx) error {
			if _, err := tx.Add("t", "k", nil); err != nil {
				return err
			}
			cancel()
			tx.Add("t", "k2", nil) // fails, and the procedure does not look
			return nil
		})
		wantErr(t, "cancelled between operations", err, context.Canceled)
		if got := mustGet(t, s, "k"); got != "absent" {
			t.Errorf("half of the procedure stayed: %q", got)
		}

		callCtx, cancel = context.WithCancel(ctx)
		err = s.Execute(callCtx, func(tx *kvstore.Tx) error {
			defer cancel()
			_, err := tx.Add("t", "k", []byte("v"))
			return err
		})
		if err != nil {
			t.Errorf("cancelled after the last operation: %v, want the true outcome", err)
		}
		if got := mustGet(t, s, "k"); got != "v" {
			t.Errorf("got %s, want v", got)
		}

		callCtx, cancel = context.WithCancel(ctx)
		err = s.View(callCtx, func(tx *kvstore.ReadTx) error {
			for range tx.Keys("t", kvstore.Range{}) {
				cancel()
			}
			_, err := tx.ListKeys("t")
			return err
		})
		wantErr(t, "cancelled view", err, context.Canceled)
	})
}

func TestReentrancy(t *testing.T) {
	for _, queueLen := range []int{0, -1} { // found while waiting in the queue, and before it
		o := options()
		o.QueueLen = queueLen
		eachKind(t, o, func(t *testing.T, s *kvstore.Store) {
			ctx := watchdog(t)
			err := s.Execute(ctx, func(tx *kvstore.Tx) error {
				if _, err := tx.Add("t", "k", []byte("v")); err != nil {
					return err
				}
				_, err := s.Add(ctx, "t", "inner", nil)
				wantErr(t, "execute inside", err, kvstore.ErrReentrant)
				wantErr(t, "close inside", s.Close(ctx), kvstore.ErrReentrant)
				_, err = s.Sweep(ctx)
				wantErr(t, "sweep inside", err, kvstore.ErrReentrant)
				return nil
			})
			if err != nil {
				t.Errorf("the procedure itself: %v", err)
			}
			if a, b := mustGet(t, s, "k"), mustGet(t, s, "inner"); a != "v" || b != "absent" {
				t.Errorf("k is %s, inner is %s", a, b)
			}
		})
	}
	s := openMemory(t, options())
	ctx := watchdog(t)
	err := s.View(ctx, func(*kvstore.ReadTx) error {
		_, _, err := s.Get(ctx, "t", "k")
		return err
	})
	wantErr(t, "view inside a view in memory", err, kvstore.ErrReentrant)
}

func TestWaitingBehindASlowProcedureIsNotReentrancy(t *testing.T) {
	s := openMemory(t, options())
	ctx := watchdog(t)
	release := hold(t, ctx, s)
	answer := queue(t, ctx, s, 1, func(int, *kvstore.Tx) error { return nil })[0]
	// Longer than the store waits before it looks for re-entrancy.
	select {
	case err := <-answer:
		t.Fatalf("answered %v while the store is held", err)
	case <-time.After(30 * time.Millisecond):
	}
	release()
	if err := receive(t, ctx, answer); err != nil {
		t.Error(err)
	}
}
