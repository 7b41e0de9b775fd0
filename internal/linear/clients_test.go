package linear_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"postern/kvstore"
)

// store is what the clients use of a kvstore.Store.
type store interface {
	Execute(ctx context.Context, fn func(*kvstore.Tx) error) error
	View(ctx context.Context, fn func(*kvstore.ReadTx) error) error
	Get(ctx context.Context, table, key string) (kvstore.Entry, bool, error)
	Add(ctx context.Context, table, key string, value []byte, options ...kvstore.PutOption) (uint64, error)
	Update(ctx context.Context, table, key string, value []byte, counter uint64, options ...kvstore.PutOption) (uint64, error)
	TryUpdate(ctx context.Context, table, key string, value []byte, counter uint64, options ...kvstore.PutOption) (bool, error)
	Overwrite(ctx context.Context, table, key string, value []byte, options ...kvstore.PutOption) (uint64, error)
	Delete(ctx context.Context, table, key string) (bool, error)
	Sweep(ctx context.Context) (int, error)
}

// history is what the clients of a store have done, and the clocks they share.
type history struct {
	order  atomic.Int64 // of questions and answers, as the checker wants it
	now    atomic.Int64 // the store's clock, in milliseconds since the Unix epoch
	values atomic.Int64 // no value is written twice

	mu         sync.Mutex
	operations []porcupine.Operation
	undone     int // ended with an error that says: not applied
}

func newHistory() *history {
	h := new(history)
	h.now.Store(1_000_000)
	return h
}

func (h *history) clock() time.Time { return time.UnixMilli(h.now.Load()) }
func (h *history) value() string    { return fmt.Sprint(h.values.Add(1)) }

// client asks one thing after the other.
type client struct {
	h     *history
	s     store
	id    int
	reads int // of ten transactions that are a Get and nothing else
	ctx   context.Context
	rng   *rand.Rand
	seen  [len(keys)]uint64 // counters, to demand later
}

var (
	errAbort = errors.New("the procedure does not want to")
	errBank  = errors.New("the sum is wrong")
)

// bankTable is used for transfers only: the sum of its keys stays the same.
const (
	bankTable = "bank"
	bankSum   = 1000
)

// run does n random things; it ends early, without an error, when the store is closed
// or stopped.
func (c *client) run(n int, tables []string) error {
	for range n {
		c.h.now.Add(c.rng.Int64N(2))
		table := tables[c.rng.IntN(len(tables))]
		var err error
		switch {
		case c.rng.IntN(10) < c.reads:
			err = c.get(table)
		case table == bankTable:
			err = c.bank()
		case c.rng.IntN(2) == 0:
			err = c.operation(table)
		default:
			err = c.procedure(table)
		}
		switch {
		case errors.Is(err, kvstore.ErrClosed), errors.Is(err, kvstore.ErrStopped):
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// record does one transaction and adds it to the history, unless its error says that
// nothing of it was applied: then what it wrote must never be seen.
func (c *client) record(table string, do func(tx *transaction) error) error {
	tx := transaction{table: table, lo: c.h.now.Load()}
	call := c.h.order.Add(1)
	err := do(&tx)
	answer := c.h.order.Add(1)
	if tx.hi == 0 {
		tx.hi = c.h.now.Load()
	}
	if errors.Is(err, kvstore.ErrIndeterminate) {
		tx.maybe, answer = true, open
	}
	var p *kvstore.PanicError
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	if err == nil || tx.maybe {
		c.h.operations = append(c.h.operations, porcupine.Operation{ClientId: c.id, Input: tx, Call: call, Return: answer})
		return err
	}
	c.h.undone++
	if errors.Is(err, errAbort) || errors.Is(err, context.Canceled) || errors.As(err, &p) {
		return nil
	}
	return err
}

// operation is a random one-operation form.
func (c *client) operation(table string) error {
	key := c.rng.IntN(len(keys))
	st := step{key: key, value: c.h.value(), counter: c.seen[key], expires: c.expiry()}
	name, value, options := keys[key], []byte(st.value), putOptions(st.expires)
	ctx, cancel := c.cancelSometimes()
	defer cancel()
	return c.record(table, func(tx *transaction) (err error) {
		switch st.kind = kind(c.rng.IntN(int(clearAll))); st.kind {
		case get:
			e, found, failed := c.s.Get(ctx, table, name)
			c.got(&st, e, found)
			err = failed
		case add:
			st.gotCounter, err = c.s.Add(ctx, table, name, value, options...)
		case update:
			st.gotCounter, err = c.s.Update(ctx, table, name, value, st.counter, options...)
		case tryUpdate:
			st.ok, err = c.s.TryUpdate(ctx, table, name, value, st.counter, options...)
		case overwrite:
			st.gotCounter, err = c.s.Overwrite(ctx, table, name, value, options...)
		case remove:
			st.ok, err = c.s.Delete(ctx, table, name)
		}
		err = lost(&st, err)
		tx.steps = []step{st}
		return err
	})
}

func (c *client) get(table string) error {
	key := c.rng.IntN(len(keys))
	return c.record(table, func(tx *transaction) error {
		e, found, err := c.s.Get(c.ctx, table, keys[key])
		tx.steps = []step{{kind: get, key: key}}
		c.got(&tx.steps[0], e, found)
		return err
	})
}

// lost turns the errors that are an ordinary outcome of one step into it.
func lost(st *step, err error) error {
	switch st.kind {
	case add, update, overwrite:
		st.ok = err == nil
	}
	if errors.Is(err, kvstore.ErrExists) || errors.Is(err, kvstore.ErrCounterMismatch) {
		return nil
	}
	return err
}

func (c *client) got(st *step, e kvstore.Entry, found bool) {
	st.ok, st.gotValue, st.gotCounter, st.gotExpires = found, string(e.Value), e.Counter, 0
	if !e.ExpiresAt.IsZero() {
		st.gotExpires = e.ExpiresAt.UnixMilli()
	}
	c.seen[st.key] = e.Counter
}

// expiry is what a random write says about it.
func (c *client) expiry() int64 {
	switch c.rng.IntN(3) {
	case 0:
		return keep
	case 1:
		return persist
	}
	return c.h.now.Load() + c.rng.Int64N(100)
}

func putOptions(expires int64) []kvstore.PutOption {
	switch expires {
	case keep:
		return nil
	case persist:
		return []kvstore.PutOption{kvstore.Persist()}
	}
	return []kvstore.PutOption{kvstore.ExpiresAt(time.UnixMilli(expires))}
}

// cancelSometimes returns a context that in one of eight cases is cancelled, before the
// call or at some moment during it.
func (c *client) cancelSometimes() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(c.ctx)
	switch c.rng.IntN(16) {
	case 0:
		cancel()
	case 1:
		go cancel()
	}
	return ctx, cancel
}
