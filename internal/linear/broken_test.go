package linear_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"

	"postern/kvstore"
)

// nowAndThen says when a broken store does its mischief.
type nowAndThen struct{ n atomic.Int64 }

func (m *nowAndThen) strikes() bool { return m.n.Add(1)%30 == 0 }

// staleGet answers from a copy that it made earlier.
type staleGet struct {
	*kvstore.Store
	nowAndThen
	mu     sync.Mutex
	copies map[string]kvstore.Entry
}

func (s *staleGet) Get(ctx context.Context, table, key string) (kvstore.Entry, bool, error) {
	s.mu.Lock()
	e, found := s.copies[table+key]
	s.mu.Unlock()
	if found && s.strikes() {
		return e, true, nil
	}
	e, found, err := s.Store.Get(ctx, table, key)
	if found && err == nil {
		s.mu.Lock()
		s.copies[table+key] = e
		s.mu.Unlock()
	}
	return e, found, err
}

// lostWrite answers a write that it has rolled back.
type lostWrite struct {
	*kvstore.Store
	nowAndThen
}

func (s *lostWrite) Overwrite(ctx context.Context, table, key string, value []byte, o ...kvstore.PutOption) (counter uint64, err error) {
	undo := errors.New("undo")
	err = s.Store.Execute(ctx, func(tx *kvstore.Tx) error {
		if counter, err = tx.Overwrite(table, key, value, o...); err == nil && s.strikes() {
			return undo
		}
		return err
	})
	if err == undo {
		err = nil
	}
	return counter, err
}

// appliedTwice runs a procedure again after it was committed.
type appliedTwice struct {
	*kvstore.Store
	nowAndThen
}

func (s *appliedTwice) Execute(ctx context.Context, fn func(*kvstore.Tx) error) error {
	if s.strikes() {
		if err := s.Store.Execute(ctx, fn); err != nil {
			return err
		}
	}
	return s.Store.Execute(ctx, fn)
}

// appliedThough tells the caller of a committed procedure that it was cancelled.
type appliedThough struct {
	*kvstore.Store
	nowAndThen
}

func (s *appliedThough) Execute(ctx context.Context, fn func(*kvstore.Tx) error) error {
	if err := s.Store.Execute(ctx, fn); err != nil || !s.strikes() {
		return err
	}
	return context.Canceled
}

// half commits the first part of a procedure that fails.
type half struct{ *kvstore.Store }

func (s half) Execute(ctx context.Context, fn func(*kvstore.Tx) error) error {
	var failed error
	if err := s.Store.Execute(ctx, func(tx *kvstore.Tx) error {
		failed = fn(tx)
		return nil
	}); err != nil {
		return err
	}
	return failed
}

// The checker finds what is wrong with a store that is wrong.
func TestBrokenStoresAreCaught(t *testing.T) {
	tries := 0 // of all together
	for name, wrap := range map[string]func(*kvstore.Store) store{
		"stale get":      func(s *kvstore.Store) store { return &staleGet{Store: s, copies: map[string]kvstore.Entry{}} },
		"lost write":     func(s *kvstore.Store) store { return &lostWrite{Store: s} },
		"applied twice":  func(s *kvstore.Store) store { return &appliedTwice{Store: s} },
		"applied though": func(s *kvstore.Store) store { return &appliedThough{Store: s} },
		"half":           func(s *kvstore.Store) store { return half{s} },
	} {
		t.Run(name, func(t *testing.T) {
			for !caught(t, wrap) {
				if tries++; tries == 50 {
					t.Fatal("the checker finds nothing in any history")
				}
			}
		})
	}
}

// caught reports whether the checker finds fault with one history. In some of them
// a fault leaves no trace, as when what it lost was overwritten unread.
func caught(t *testing.T, wrap func(*kvstore.Store) store) bool {
	t.Helper()
	h := newHistory()
	s, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables(tables...), Clock: h.clock,
		SweepEvery: -1, OnPanic: kvstore.FailCaller})
	if err != nil {
		t.Fatal(err)
	}
	use(t, h, s, wrap(s), crowd{clients: 8, each: 150}, toTheEnd)
	result, unexplained := verdict(h)
	if result == porcupine.Illegal && !strings.Contains(unexplained, "no place") {
		t.Errorf("it does not say where: %q", unexplained)
	}
	return result == porcupine.Illegal
}

// What nobody was answered may have happened, at any later time, but once and for good.
func TestModelOfUnknownOutcomes(t *testing.T) {
	write := func(call int64, value string, counter uint64) porcupine.Operation {
		return porcupine.Operation{Call: call, Return: call + 1, Input: transaction{table: "t",
			steps: []step{{kind: overwrite, value: value, ok: true, gotCounter: counter}}}}
	}
	unknown := write(10, "perhaps", 1)
	tx := unknown.Input.(transaction)
	tx.maybe = true
	unknown.Input, unknown.Return = tx, open
	read := func(call int64, value string, counter uint64) porcupine.Operation {
		return porcupine.Operation{Call: call, Return: call + 1, Input: transaction{table: "t",
			steps: []step{{kind: get, ok: true, gotValue: value, gotCounter: counter}}}}
	}
	first := write(0, "first", 0)
	for _, test := range []struct {
		want    porcupine.CheckResult
		history []porcupine.Operation
	}{
		{porcupine.Ok, []porcupine.Operation{first, unknown, read(20, "first", 0), read(30, "first", 0)}},
		{porcupine.Ok, []porcupine.Operation{first, unknown, read(20, "perhaps", 1), read(30, "perhaps", 1)}},
		{porcupine.Ok, []porcupine.Operation{first, unknown, read(20, "first", 0), read(30, "perhaps", 1)}},
		{porcupine.Illegal, []porcupine.Operation{first, unknown, read(20, "perhaps", 1), read(30, "first", 0)}},
		{porcupine.Illegal, []porcupine.Operation{first, read(5, "perhaps", 1), unknown}},
		{porcupine.Ok, []porcupine.Operation{first, unknown, write(20, "second", 1), read(30, "second", 1)}},
		{porcupine.Ok, []porcupine.Operation{first, unknown, write(20, "second", 2), read(30, "second", 2)}},
		{porcupine.Illegal, []porcupine.Operation{first, unknown, write(20, "second", 3)}},
	} {
		if got := porcupine.CheckOperationsTimeout(model.ToModel(), test.history, patience); got != test.want {
			var text string
			for _, o := range test.history {
				text += fmt.Sprintf("\n  %d-%d %v", o.Call, o.Return, o.Input)
			}
			t.Errorf("%s, want %s:%s", got, test.want, text)
		}
	}
}
