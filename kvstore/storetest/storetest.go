// Package storetest tests engines that keep the semantics of package kvstore.
//
// [Run] is the whole suite: named cases, and a state machine that runs random
// procedures on the engine and on [Model] and compares every answer. What
// belongs to one engine alone (files, locks, panics, queues) is tested with
// that engine.
package storetest

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"postern/kvstore"
)

// ReadTx is what a transaction can read. *kvstore.ReadTx has it.
type ReadTx interface {
	Now() time.Time
	Get(table, key string) (kvstore.Entry, bool, error)
	ListKeys(table string) ([]string, error)
	Keys(table string, r kvstore.Range) iter.Seq2[string, error]
	Entries(table string, r kvstore.Range) iter.Seq2[kvstore.Entry, error]
}

// Tx is what a procedure can do. *kvstore.Tx has it.
type Tx interface {
	ReadTx
	Add(table, key string, value []byte, options ...kvstore.PutOption) (uint64, error)
	Update(table, key string, value []byte, counter uint64, options ...kvstore.PutOption) (uint64, error)
	TryUpdate(table, key string, value []byte, counter uint64, options ...kvstore.PutOption) (bool, error)
	Overwrite(table, key string, value []byte, options ...kvstore.PutOption) (uint64, error)
	Delete(table, key string) (bool, error)
	Clear(table string) (int64, error)
}

// Store is the engine under test.
type Store interface {
	Execute(ctx context.Context, fn func(Tx) error) error
	View(ctx context.Context, fn func(ReadTx) error) error
	Sweep(ctx context.Context) (int, error)
	Watch(ctx context.Context, table, prefix string) iter.Seq2[kvstore.Entry, error]
	WatchPages(ctx context.Context, table string, r kvstore.Range, idle time.Duration) iter.Seq2[[]kvstore.Entry, error]
	Close(ctx context.Context) error
}

// Engine opens stores to be tested.
type Engine struct {
	// Open opens the store kept in the folder, which it may use as it likes,
	// with the tables of [Tables], the given clock and no sweeps but those the
	// suite asks for. Opened again after Close, it must hold what it held.
	Open func(folder string, clock func() time.Time) (Store, error)

	// Volatile says that nothing outlives Close: the suite does not look.
	Volatile bool
}

// Tables returns the tables that the suite uses.
func Tables() []kvstore.Table {
	return append(kvstore.Tables("plain", "Order"), kvstore.Table{Name: "small", SmallValues: true})
}

// Run runs the suite.
func Run(t *testing.T, e Engine) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t, e)
			c.run(t, h)
		})
	}
	t.Run("reopen", func(t *testing.T) {
		if e.Volatile {
			t.Skip("nothing outlives Close")
		}
		testReopen(t, newHarness(t, e))
	})
	t.Run("model", func(t *testing.T) { testModel(t, e) })
}

// patience is how long anything may take before a test calls it hung.
const patience = 60 * time.Second

// start is the time at which the clock of every test begins.
var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// manualClock moves when told to. It is safe for concurrent use.
type manualClock struct{ ms atomic.Int64 }

func newClock() *manualClock {
	c := &manualClock{}
	c.ms.Store(start.UnixMilli())
	return c
}

func (c *manualClock) now() time.Time          { return time.UnixMilli(c.ms.Load()).UTC() }
func (c *manualClock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// harness is an open store and the means to use it in a test.
type harness struct {
	t      *testing.T
	ctx    context.Context
	engine Engine
	folder string
	clock  *manualClock
	store  Store
}

func newHarness(t *testing.T, e Engine) *harness {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	h := &harness{t: t, ctx: ctx, engine: e, folder: t.TempDir(), clock: newClock()}
	h.open()
	t.Cleanup(func() {
		h.close()
		cancel()
	})
	return h
}

func (h *harness) open() {
	h.t.Helper()
	var err error
	if h.store, err = h.engine.Open(h.folder, h.clock.now); err != nil {
		h.t.Fatalf("open: %v", err)
	}
}

func (h *harness) close() {
	h.t.Helper()
	if err := h.store.Close(h.ctx); err != nil {
		h.t.Errorf("close: %v", err)
	}
}

// execute runs fn as a procedure that must succeed. fn must not use the test's
// Fatal functions, which would end the engine's goroutine: it returns errors.
func (h *harness) execute(fn func(Tx) error) {
	h.t.Helper()
	if err := h.store.Execute(h.ctx, fn); err != nil {
		h.t.Fatalf("execute: %v", err)
	}
}

// view runs fn over a snapshot and must succeed. The same holds for fn.
func (h *harness) view(fn func(ReadTx) error) {
	h.t.Helper()
	if err := h.store.View(h.ctx, fn); err != nil {
		h.t.Fatalf("view: %v", err)
	}
}

// expect returns an error unless got, a counter and an error of a write, is
// the counter wanted.
func expect(op string, want uint64) func(got uint64, err error) error {
	return func(got uint64, err error) error {
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s: counter %d, want %d", op, got, want)
		}
		return nil
	}
}

// all returns the first error.
func all(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// get returns the value and counter of a key as text, or "absent".
func (h *harness) get(table, key string) string {
	h.t.Helper()
	var text string
	h.view(func(tx ReadTx) error {
		e, found, err := tx.Get(table, key)
		text = "absent"
		if found {
			text = fmt.Sprintf("%s #%d", e.Value, e.Counter)
		}
		return err
	})
	return text
}
