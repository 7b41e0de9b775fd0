package kvstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"postern/kvstore"
)

// These examples are ways of working that have proved themselves.

type order struct {
	Item  string `json:"item"`
	State string `json:"state"`
	Note  string `json:"note,omitempty"`
}

var orders = kvstore.NewTyped("orders", kvstore.JSON[order]())

func openOrders() *kvstore.Store {
	store, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables("orders", "seen")})
	if err != nil {
		log.Fatal(err)
	}
	return store
}

// A procedure keeps everybody behind it waiting, so it holds reading, deciding
// and writing, and nothing slow: what takes time is made ready before it and
// used after it. It assigns its results rather than appending to them, because
// it may be run again.
func Example_shortProcedures() {
	ctx := context.Background()
	store := openOrders()
	defer store.Close(ctx)

	// Before: parsing, checking, hashing, asking other services.
	note := strings.ToUpper("fragile")

	isNew, err := kvstore.Execute(ctx, store, func(tx *kvstore.Tx) (bool, error) {
		e, found, err := orders.Get(tx, "4711")
		if err != nil {
			return false, err
		}
		e.Value.Item, e.Value.State, e.Value.Note = "vase", "open", note
		_, err = orders.Overwrite(tx, "4711", e.Value)
		return !found, err
	})
	if err != nil {
		log.Fatal(err)
	}

	// After: mail, logs, the answer to the client. The change is on the disk.
	if isNew {
		fmt.Println("thank you for your order")
	}
	// Output:
	// thank you for your order
}

// A conflict that is part of the day's business is an outcome, not a failure:
// the procedure turns it into a result and commits what else it has done.
// Errors are for what must undo everything.
func Example_expectedConflict() {
	ctx := context.Background()
	store := openOrders()
	defer store.Close(ctx)

	// A message may arrive twice; the second time changes nothing.
	receive := func(message, item string) (fresh bool, err error) {
		return kvstore.Execute(ctx, store, func(tx *kvstore.Tx) (bool, error) {
			_, err := tx.Add("seen", message, nil, kvstore.TTL(24*time.Hour))
			if errors.Is(err, kvstore.ErrExists) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			_, err = orders.Add(tx, message, order{Item: item, State: "open"})
			return true, err
		})
	}
	fmt.Println(receive("m1", "vase"))
	fmt.Println(receive("m1", "vase"))
	fmt.Println(receive("m2", "lamp"))
	// Output:
	// true <nil>
	// false <nil>
	// true <nil>
}

// Slow work stands between two procedures. The counter that the first one read
// tells the second whether the entry is still the one that the work was done
// for; if not, the work is done again.
func Example_splitOperation() {
	ctx := context.Background()
	store := openOrders()
	defer store.Close(ctx)
	err := store.Execute(ctx, func(tx *kvstore.Tx) error {
		_, err := orders.Add(tx, "4711", order{Item: "vase", State: "open"})
		return err
	})
	if err != nil {
		log.Fatal(err)
	}

	attempts := 0
	charge := func(o order) string { // seconds of network, in real life
		if attempts++; attempts == 1 { // and somebody changes the order meanwhile
			store.Execute(ctx, func(tx *kvstore.Tx) error {
				_, err := orders.Modify(tx, "4711", func(o *order) error { o.Item = "two vases"; return nil })
				return err
			})
		}
		return "paid for " + o.Item
	}

	for done := false; !done; {
		read, err := kvstore.View(ctx, store, func(tx *kvstore.ReadTx) (kvstore.TypedEntry[order], error) {
			e, _, err := orders.Get(tx, "4711")
			return e, err
		})
		if err != nil {
			log.Fatal(err)
		}
		next := read.Value
		next.State = charge(next)
		done, err = kvstore.Execute(ctx, store, func(tx *kvstore.Tx) (bool, error) {
			return orders.TryUpdate(tx, "4711", next, read.Counter)
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(next.State, done)
	}
	// Output:
	// paid for vase false
	// paid for two vases true
}

// Overwrite is right where the newest value is the true one whatever was there
// before: a sensor's reading, the time of a last visit, a cached page. Nothing
// is read, nothing can conflict.
func Example_lastWriterWins() {
	ctx := context.Background()
	store := openOrders()
	defer store.Close(ctx)

	for _, page := range []string{"/cart", "/checkout"} {
		if _, err := store.Overwrite(ctx, "seen", "alice", []byte(page), kvstore.TTL(time.Hour)); err != nil {
			log.Fatal(err)
		}
	}
	e, _, err := store.Get(ctx, "seen", "alice")
	fmt.Printf("%s %v\n", e.Value, err)
	// Output:
	// /checkout <nil>
}
