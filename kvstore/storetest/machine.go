package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/kvstore"
)

// testModel runs random transactions on the engine and on a Model, and
// compares every answer and, after every step, all contents.
func testModel(t *testing.T, e Engine) {
	folder := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		dir, err := os.MkdirTemp(folder, "")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)

		clock := newClock()
		store, err := e.Open(dir, clock.now)
		if err != nil {
			rt.Fatalf("open: %v", err)
		}
		defer func() { store.Close(ctx) }()
		model := NewModel(Tables(), clock.now)

		// both runs the steps in a transaction of each.
		both := func(rt *rapid.T, what string, transact func(Store) (string, error)) {
			got, gotErr := transact(store)
			want, wantErr := transact(model)
			if got != want || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
				rt.Fatalf("%s:\n got %s(error: %v)\nwant %s(error: %v)", what, got, gotErr, want, wantErr)
			}
		}

		actions := map[string]func(*rapid.T){
			"procedure": func(rt *rapid.T) {
				steps := rapid.SliceOfN(drawStep(writes), 1, 8).Draw(rt, "steps")
				fails := rapid.IntRange(0, 4).Draw(rt, "fails") == 0
				both(rt, "procedure", func(s Store) (log string, err error) {
					err = s.Execute(ctx, func(tx Tx) error {
						log = ""
						for _, st := range steps {
							log += st.run(tx)
						}
						if fails {
							return errors.New("procedure failed")
						}
						return nil
					})
					return log, err
				})
			},
			"view": func(rt *rapid.T) {
				steps := rapid.SliceOfN(drawStep(reads), 1, 4).Draw(rt, "steps")
				both(rt, "view", func(s Store) (log string, err error) {
					err = s.View(ctx, func(tx ReadTx) error {
						log = ""
						for _, st := range steps {
							log += st.read(tx)
						}
						return nil
					})
					return log, err
				})
			},
			"clock": func(rt *rapid.T) {
				clock.advance(time.Duration(rapid.IntRange(1, 4).Draw(rt, "ms")) * time.Millisecond)
			},
			"sweep": func(rt *rapid.T) {
				both(rt, "sweep", func(s Store) (string, error) {
					n, err := s.Sweep(ctx)
					return fmt.Sprintf("%d removed ", n), err
				})
			},
			"": func(rt *rapid.T) { // after every action
				both(rt, "contents", func(s Store) (log string, err error) {
					err = s.View(ctx, func(tx ReadTx) error {
						log = ""
						for _, table := range Tables() {
							log += step{op: "entries", table: table.Name}.read(tx)
						}
						return nil
					})
					return log, err
				})
			},
		}
		if !e.Volatile {
			actions["reopen"] = func(rt *rapid.T) {
				if err := store.Close(ctx); err != nil {
					rt.Fatalf("close: %v", err)
				}
				if store, err = e.Open(dir, clock.now); err != nil {
					rt.Fatalf("open again: %v", err)
				}
			}
		}
		rt.Repeat(actions)
	})
}

// step is one operation, as data: the same one runs on engine and model.
type step struct {
	op         string
	table, key string
	value      string
	delta      int // counter to give, relative to the present one
	expiry     string
	ms         int // of expiry
	r          kvstore.Range
}

var (
	reads  = []string{"get", "keys", "entries", "list", "now"}
	writes = []string{
		"add", "add", "overwrite", "overwrite", "update", "try update", "delete", "delete", "clear",
		"get", "keys", "entries",
	}
	// Few keys, so that operations meet; chosen to differ in what bytes and
	// strings can be confused about.
	keys = []string{"", "\x00", "a", "a\x00", "a\x00b", "aa", "ab", "b", "é", "\xff", "\xff\xff", "a\xff"}
)

func drawStep(ops []string) *rapid.Generator[step] {
	return rapid.Custom(func(t *rapid.T) step {
		key := rapid.SampledFrom(keys)
		st := step{
			op:    rapid.SampledFrom(ops).Draw(t, "op"),
			table: rapid.SampledFrom([]string{"plain", "plain", "Order", "small", "none"}).Draw(t, "table"),
		}
		switch st.op {
		case "keys", "entries":
			st.r = kvstore.Range{
				Prefix:  rapid.SampledFrom([]string{"", "", "a", "a\x00", "\xff", "z"}).Draw(t, "prefix"),
				Start:   key.Draw(t, "start"),
				End:     key.Draw(t, "end"),
				Reverse: rapid.Bool().Draw(t, "reverse"),
				Limit:   rapid.IntRange(-1, 3).Draw(t, "limit"),
			}
		case "list", "clear", "now":
		default:
			st.key = key.Draw(t, "key")
			st.value = rapid.SampledFrom([]string{"", "v", "\x00w"}).Draw(t, "value")
			st.delta = rapid.SampledFrom([]int{0, 0, 0, -1, 1}).Draw(t, "delta")
			st.expiry = rapid.SampledFrom([]string{"", "", "ttl", "at", "persist", "zero"}).Draw(t, "expiry")
			st.ms = rapid.IntRange(-2, 6).Draw(t, "ms")
		}
		return st
	})
}

// options makes the step's PutOption.
func (st step) options() []kvstore.PutOption {
	ms := time.Duration(st.ms) * time.Millisecond
	switch st.expiry {
	case "ttl":
		return []kvstore.PutOption{kvstore.TTL(ms)}
	case "at":
		return []kvstore.PutOption{kvstore.ExpiresAt(start.Add(ms))}
	case "persist":
		return []kvstore.PutOption{kvstore.Persist()}
	case "zero":
		return []kvstore.PutOption{kvstore.ExpiresAt(time.Time{})}
	}
	return nil
}

// run does the step and returns what it gave, as a line.
func (st step) run(tx Tx) string {
	var result any
	var err error
	switch st.op {
	case "add":
		result, err = tx.Add(st.table, st.key, []byte(st.value), st.options()...)
	case "overwrite":
		result, err = tx.Overwrite(st.table, st.key, []byte(st.value), st.options()...)
	case "update", "try update":
		present, _, _ := tx.Get(st.table, st.key)
		counter := present.Counter + uint64(st.delta)
		if st.op == "update" {
			result, err = tx.Update(st.table, st.key, []byte(st.value), counter, st.options()...)
		} else {
			result, err = tx.TryUpdate(st.table, st.key, []byte(st.value), counter, st.options()...)
		}
	case "delete":
		result, err = tx.Delete(st.table, st.key)
	case "clear":
		result, err = tx.Clear(st.table)
	default:
		return st.read(tx)
	}
	return fmt.Sprintf("%s %s %q = %v %v\n", st.op, st.table, st.key, result, err)
}

// read is run for the operations that do not write.
func (st step) read(tx ReadTx) string {
	var result string
	var err error
	switch st.op {
	case "get":
		var e kvstore.Entry
		var found bool
		e, found, err = tx.Get(st.table, st.key)
		result = fmt.Sprint(found, show(e))
	case "keys":
		for key, failed := range tx.Keys(st.table, st.r) {
			result += fmt.Sprintf("%q ", key)
			err = failed
		}
	case "entries":
		for e, failed := range tx.Entries(st.table, st.r) {
			result += show(e) + " "
			err = failed
		}
	case "list":
		var list []string
		list, err = tx.ListKeys(st.table)
		result = fmt.Sprintf("%q", list)
	case "now":
		result = tx.Now().String()
	default:
		panic("storetest: no such step: " + st.op)
	}
	return fmt.Sprintf("%s %s %q %+v = %s %v\n", st.op, st.table, st.key, st.r, strings.TrimSpace(result), err)
}

func show(e kvstore.Entry) string {
	expiry := "never"
	if !e.ExpiresAt.IsZero() {
		expiry = e.ExpiresAt.Format(time.StampMilli)
	}
	return fmt.Sprintf("%q=%q #%d %s nil:%v", e.Key, e.Value, e.Counter, expiry, e.Value == nil)
}
