package kvstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/kvstore"
)

func TestOneOperationForms(t *testing.T) {
	eachKind(t, options(), func(t *testing.T, s *kvstore.Store) {
		ctx := watchdog(t)
		if c, err := s.Add(ctx, "t", "k", []byte("a")); c != 0 || err != nil {
			t.Errorf("add: %d %v", c, err)
		}
		if c, err := s.Update(ctx, "t", "k", []byte("b"), 0); c != 1 || err != nil {
			t.Errorf("update: %d %v", c, err)
		}
		if ok, err := s.TryUpdate(ctx, "t", "k", []byte("c"), 0); ok || err != nil {
			t.Errorf("try update: %v %v", ok, err)
		}
		if c, err := s.Overwrite(ctx, "t", "k", []byte("d"), kvstore.TTL(time.Hour)); c != 2 || err != nil {
			t.Errorf("overwrite: %d %v", c, err)
		}
		e, found, err := s.Get(ctx, "t", "k")
		if string(e.Value) != "d" || e.Counter != 2 || e.ExpiresAt.IsZero() || !found || err != nil {
			t.Errorf("get: %+v %v %v", e, found, err)
		}
		if keys, err := s.ListKeys(ctx, "t"); fmt.Sprint(keys) != "[k]" || err != nil {
			t.Errorf("list: %v %v", keys, err)
		}
		if ok, err := s.Delete(ctx, "t", "k"); !ok || err != nil {
			t.Errorf("delete: %v %v", ok, err)
		}
		if n, err := s.Clear(ctx, "t"); n != 0 || err != nil {
			t.Errorf("clear: %d %v", n, err)
		}
		if got := fmt.Sprint(s.Tables()); got != "[t other]" {
			t.Errorf("tables: %s", got)
		}
		_, err = s.Update(ctx, "t", "k", nil, 7)
		wantErr(t, "update", err, kvstore.ErrCounterMismatch)
		wantText(t, "update", err, `update "k" in table "t"`)
		n := s.Stats()
		if n.Procedures != 7 || n.Commits != 6 || n.Rollbacks != 1 || n.Views != 2 {
			t.Errorf("stats: %+v", n)
		}
	})
}

func TestFunctionFormsGiveNothingOnFailure(t *testing.T) {
	eachKind(t, options(), func(t *testing.T, s *kvstore.Store) {
		ctx, cause := watchdog(t), errors.New("no")
		if v, err := kvstore.Execute(ctx, s, func(*kvstore.Tx) (int, error) { return 7, nil }); v != 7 || err != nil {
			t.Errorf("execute: %d %v", v, err)
		}
		if v, err := kvstore.Execute(ctx, s, func(*kvstore.Tx) (int, error) { return 7, cause }); v != 0 || err != cause {
			t.Errorf("execute that fails: %d %v", v, err)
		}
		if v, err := kvstore.View(ctx, s, func(*kvstore.ReadTx) (int, error) { return 7, nil }); v != 7 || err != nil {
			t.Errorf("view: %d %v", v, err)
		}
		if v, err := kvstore.View(ctx, s, func(*kvstore.ReadTx) (int, error) { return 7, cause }); v != 0 || err != cause {
			t.Errorf("view that fails: %d %v", v, err)
		}
	})
}

func TestLimits(t *testing.T) {
	o := options()
	o.MaxValue = 10
	s := openMemory(t, o)
	ctx := watchdog(t)
	if _, err := s.Add(ctx, "t", "fits", make([]byte, 10)); err != nil {
		t.Error(err)
	}
	for name, write := range map[string]func(*kvstore.Tx) error{
		"add":       func(tx *kvstore.Tx) error { _, err := tx.Add("t", "k", make([]byte, 11)); return err },
		"overwrite": func(tx *kvstore.Tx) error { _, err := tx.Overwrite("t", "fits", make([]byte, 11)); return err },
		"update":    func(tx *kvstore.Tx) error { _, err := tx.Update("t", "fits", make([]byte, 11), 0); return err },
		"try":       func(tx *kvstore.Tx) error { _, err := tx.TryUpdate("t", "fits", make([]byte, 11), 0); return err },
	} {
		err := s.Execute(ctx, write)
		wantErr(t, name, err, kvstore.ErrTooLarge)
		wantText(t, name, err, `in table "t"`)
	}
	long := strings.Repeat("x", 1000)
	_, err := s.Update(ctx, "t", long, nil, 0)
	if len(err.Error()) > 200 {
		t.Errorf("message quotes the whole key: %v", err)
	}
}

func TestProceduresRunOneAtATimeInOrder(t *testing.T) {
	eachKind(t, options(), func(t *testing.T, s *kvstore.Store) {
		ctx := watchdog(t)
		release := hold(t, ctx, s)
		var order []int // only procedures touch it, so the race detector sees two at once
		answers := queue(t, ctx, s, 20, func(i int, tx *kvstore.Tx) error {
			order = append(order, i)
			_, err := tx.Overwrite("t", "last", fmt.Append(nil, i))
			return err
		})
		release()
		for i, a := range answers {
			if err := receive(t, ctx, a); err != nil {
				t.Errorf("procedure %d: %v", i, err)
			}
		}
		for i, got := range order {
			if got != i {
				t.Fatalf("ran in the order %v", order)
			}
		}
		if got := mustGet(t, s, "last"); got != "19" {
			t.Errorf("last is %s, want 19", got)
		}
	})
}

func TestLostUpdatesDoNotHappen(t *testing.T) {
	eachKind(t, options(), func(t *testing.T, s *kvstore.Store) {
		ctx := watchdog(t)
		const workers, rounds = 8, 25
		done := make(chan error, workers)
		for range workers {
			go func() {
				for range rounds {
					if err := increment(ctx, s); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
		for range workers {
			if err := receive(t, ctx, done); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := mustGet(t, s, "n"), fmt.Sprint(workers*rounds); got != want {
			t.Errorf("counted %s, want %s", got, want)
		}
	})
}

// increment adds one to a number with a read and a conditional write in
// separate transactions.
func increment(ctx context.Context, s *kvstore.Store) error {
	for {
		e, found, err := s.Get(ctx, "t", "n")
		if err != nil {
			return err
		}
		if !found {
			if _, err := s.Add(ctx, "t", "n", []byte("1")); !errors.Is(err, kvstore.ErrExists) {
				return err
			}
			continue
		}
		n := 0
		fmt.Sscan(string(e.Value), &n)
		won, err := s.TryUpdate(ctx, "t", "n", fmt.Append(nil, n+1), e.Counter)
		if won || err != nil {
			return err
		}
	}
}
