package linear_test

import (
	"fmt"
	"strconv"

	"postern/kvstore"
)

// procedure is a random transaction of several steps, or one that is undone.
func (c *client) procedure(table string) error {
	if c.rng.IntN(20) == 0 {
		_, err := c.s.Sweep(c.ctx) // nobody may notice
		return err
	}
	ctx, cancel := c.cancelSometimes()
	defer cancel()
	what := c.rng.IntN(9)
	values := []string{c.h.value(), c.h.value(), c.h.value()}
	first, expires, demanded := c.rng.IntN(len(keys)), c.expiry(), c.seen
	second := 1 - first
	return c.record(table, func(tx *transaction) error {
		if what < 2 {
			return c.s.View(ctx, func(t *kvstore.ReadTx) error {
				r := c.begin(tx, t)
				if what == 0 {
					return r.entries()
				}
				return r.get(first, second, first)
			})
		}
		return c.s.Execute(ctx, func(t *kvstore.Tx) error {
			r := c.begin(tx, &t.ReadTx)
			r.tx = t
			write := func(k kind, key, value int, counter uint64) error {
				return r.write(step{kind: k, key: key, value: values[value], counter: counter, expires: expires})
			}
			switch what {
			case 2: // read, modify, write
				if err := r.get(first); err != nil {
					return err
				}
				return write(update, first, 0, c.seen[first])
			case 3:
				if err := write(remove, first, 0, 0); err != nil {
					return err
				}
				if err := write(add, first, 0, 0); err != nil {
					return err
				}
				return write(tryUpdate, second, 1, demanded[second])
			case 4:
				if err := write(overwrite, first, 0, 0); err != nil {
					return err
				}
				cancel()
				return write(overwrite, second, 1, 0)
			case 5:
				return write(clearAll, 0, 0, 0)
			}
			for i, key := range []int{first, second, first} {
				if err := write(overwrite, key, i, 0); err != nil {
					return err
				}
			}
			switch what {
			case 6:
				return fmt.Errorf("undo: %w", errAbort)
			case 7:
				panic(errAbort)
			}
			return r.get(first, second)
		})
	})
}

// bank reads both keys of the bank, or moves something from one to the other.
func (c *client) bank() error {
	ctx, cancel := c.cancelSometimes()
	defer cancel()
	from, amount, reading := c.rng.IntN(2), c.rng.IntN(50), c.rng.IntN(2) == 0
	return c.record(bankTable, func(tx *transaction) error {
		if reading {
			return c.s.View(ctx, func(t *kvstore.ReadTx) error {
				_, err := c.begin(tx, t).accounts()
				return err
			})
		}
		return c.s.Execute(ctx, func(t *kvstore.Tx) error {
			r := c.begin(tx, &t.ReadTx)
			r.tx = t
			accounts, err := r.accounts()
			if err != nil {
				return err
			}
			accounts[from] -= amount
			accounts[1-from] += amount
			for key, n := range accounts {
				if err := r.write(step{kind: overwrite, key: key, value: strconv.Itoa(n), expires: keep}); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// recorder does the steps of a transaction and writes them down.
type recorder struct {
	c      *client
	record *transaction
	read   *kvstore.ReadTx
	tx     *kvstore.Tx
}

// begin forgets what an earlier run of the same procedure has done.
func (c *client) begin(record *transaction, read *kvstore.ReadTx) *recorder {
	record.steps = nil
	record.lo = read.Now().UnixMilli()
	record.hi = record.lo
	return &recorder{c: c, record: record, read: read}
}

func (r *recorder) get(which ...int) error {
	for _, key := range which {
		e, found, err := r.read.Get(r.record.table, keys[key])
		if err != nil {
			return err
		}
		st := step{kind: get, key: key}
		r.c.got(&st, e, found)
		r.record.steps = append(r.record.steps, st)
	}
	return nil
}

// entries is a get of every key, by a scan.
func (r *recorder) entries() error {
	var steps [len(keys)]step
	for i := range steps {
		steps[i] = step{kind: get, key: i}
	}
	for e, err := range r.read.Entries(r.record.table, kvstore.Range{}) {
		if err != nil {
			return err
		}
		for i, key := range keys {
			if key == e.Key {
				r.c.got(&steps[i], e, true)
			}
		}
	}
	r.record.steps = append(r.record.steps, steps[:]...)
	return nil
}

// accounts reads both keys of the bank; before the first transfer all is in the first.
func (r *recorder) accounts() (accounts [len(keys)]int, err error) {
	if err := r.get(0, 1); err != nil {
		return accounts, err
	}
	accounts[0] = bankSum
	for i, st := range r.record.steps {
		if st.ok {
			if accounts[i], err = strconv.Atoi(st.gotValue); err != nil {
				return accounts, err
			}
		}
	}
	if accounts[0]+accounts[1] != bankSum {
		return accounts, fmt.Errorf("%w: %v", errBank, r.record)
	}
	return accounts, nil
}

func (r *recorder) write(st step) (err error) {
	table, key, value, options := r.record.table, keys[st.key], []byte(st.value), putOptions(st.expires)
	switch st.kind {
	case add:
		st.gotCounter, err = r.tx.Add(table, key, value, options...)
	case update:
		st.gotCounter, err = r.tx.Update(table, key, value, st.counter, options...)
	case tryUpdate:
		st.ok, err = r.tx.TryUpdate(table, key, value, st.counter, options...)
	case overwrite:
		st.gotCounter, err = r.tx.Overwrite(table, key, value, options...)
	case remove:
		st.ok, err = r.tx.Delete(table, key)
	case clearAll:
		st.removed, err = r.tx.Clear(table)
	}
	err = lost(&st, err)
	r.record.steps = append(r.record.steps, st)
	return err
}
