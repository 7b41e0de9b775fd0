package kvstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"postern/kvstore"
)

func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "kvstore")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)

	store, err := kvstore.Open(filepath.Join(folder, "app.db"), kvstore.Options{
		Tables: kvstore.Tables("users", "sessions"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(ctx)

	if _, err := store.Add(ctx, "users", "alice", []byte("Alice A.")); err != nil {
		log.Fatal(err)
	}
	_, err = store.Add(ctx, "users", "alice", []byte("another Alice"))
	fmt.Println(err)
	fmt.Println(errors.Is(err, kvstore.ErrExists))

	alice, found, err := store.Get(ctx, "users", "alice")
	fmt.Printf("%s %v %v\n", alice.Value, found, err)
	// Output:
	// kvstore: add "alice" in table "users": entry already exists
	// true
	// Alice A. true <nil>
}

// A transfer reads two entries and writes both, or neither.
func ExampleStore_Execute() {
	ctx := context.Background()
	store, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables("accounts")})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(ctx)
	store.Add(ctx, "accounts", "alice", []byte{100})
	store.Add(ctx, "accounts", "bob", []byte{20})

	errPoor := errors.New("not enough money")
	transfer := func(from, to string, amount byte) error {
		return store.Execute(ctx, func(tx *kvstore.Tx) error {
			a, _, err := tx.Get("accounts", from)
			if err != nil {
				return err
			}
			b, _, err := tx.Get("accounts", to)
			if err != nil {
				return err
			}
			if _, err := tx.Update("accounts", to, []byte{b.Value[0] + amount}, b.Counter); err != nil {
				return err
			}
			if a.Value[0] < amount {
				return errPoor // takes back the update above
			}
			_, err = tx.Update("accounts", from, []byte{a.Value[0] - amount}, a.Counter)
			return err
		})
	}
	fmt.Println(transfer("alice", "bob", 30))
	fmt.Println(transfer("alice", "bob", 90))

	// The function form returns a value.
	sum, err := kvstore.Execute(ctx, store, func(tx *kvstore.Tx) (int, error) {
		sum := 0
		for e, err := range tx.Entries("accounts", kvstore.Range{}) {
			if err != nil {
				return 0, err
			}
			fmt.Println(e.Key, e.Value[0])
			sum += int(e.Value[0])
		}
		return sum, nil
	})
	fmt.Println(sum, err)
	// Output:
	// <nil>
	// not enough money
	// alice 70
	// bob 50
	// 120 <nil>
}

// A View sees one moment, and may run beside writers and other Views.
func ExampleStore_View() {
	ctx := context.Background()
	store, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables("files")})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(ctx)
	for _, name := range []string{"doc/a", "doc/b", "doc/c", "img/a"} {
		store.Overwrite(ctx, "files", name, []byte("..."))
	}

	err = store.View(ctx, func(tx *kvstore.ReadTx) error {
		for key, err := range tx.Keys("files", kvstore.Range{Prefix: "doc/", Reverse: true, Limit: 2}) {
			if err != nil {
				return err
			}
			fmt.Println(key)
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// doc/c
	// doc/b
	// <nil>
}

// The counter tells whether an entry changed while the program was busy
// elsewhere.
func ExampleStore_TryUpdate() {
	ctx := context.Background()
	store, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables("pages")})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(ctx)
	store.Add(ctx, "pages", "home", []byte("v1"))

	read, _, _ := store.Get(ctx, "pages", "home")
	store.Overwrite(ctx, "pages", "home", []byte("somebody else's v2"))

	won, err := store.TryUpdate(ctx, "pages", "home", []byte("my v2"), read.Counter)
	fmt.Println(won, err)
	read, _, _ = store.Get(ctx, "pages", "home")
	won, err = store.TryUpdate(ctx, "pages", "home", append(read.Value, " and mine"...), read.Counter)
	fmt.Println(won, err)
	// Output:
	// false <nil>
	// true <nil>
}

// An entry with a time to live is gone when that is over.
func ExampleTTL() {
	ctx := context.Background()
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	store, err := kvstore.OpenMemory(kvstore.Options{
		Tables: kvstore.Tables("sessions"),
		Clock:  func() time.Time { return now },
		// The clock above belongs to this goroutine: no sweeper may read it.
		SweepEvery: -1,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(ctx)

	store.Add(ctx, "sessions", "s1", []byte("alice"), kvstore.TTL(time.Minute))
	e, found, _ := store.Get(ctx, "sessions", "s1")
	fmt.Println(found, e.ExpiresAt.Format(time.TimeOnly))

	now = now.Add(time.Minute)
	_, found, _ = store.Get(ctx, "sessions", "s1")
	fmt.Println(found)

	now = now.Add(time.Millisecond)
	_, found, _ = store.Get(ctx, "sessions", "s1")
	fmt.Println(found)
	// Output:
	// true 12:01:00
	// true
	// false
}
