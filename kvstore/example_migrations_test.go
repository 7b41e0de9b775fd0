package kvstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"postern/kvstore"
)

// A later version of a program keeps names in two fields. Its migration runs
// once, when it first opens the file of the older version.
func ExampleOptions_migrations() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "kvstore")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "app.db")

	older, err := kvstore.Open(path, kvstore.Options{Tables: kvstore.Tables("people")})
	if err != nil {
		log.Fatal(err)
	}
	older.Add(ctx, "people", "1", []byte(`{"name":"Ada Lovelace"}`))
	older.Close(ctx)

	type person struct{ First, Last string }
	people := kvstore.NewTyped("people", kvstore.JSON[person]())
	splitNames := func(tx *kvstore.Tx) error {
		old := kvstore.NewTyped("people", kvstore.JSON[struct{ Name string }]())
		for e, err := range old.Entries(tx, kvstore.Range{}) {
			if err != nil {
				return err
			}
			var p person
			fmt.Sscan(e.Value.Name, &p.First, &p.Last)
			if _, err := people.Update(tx, e.Key, p, e.Counter); err != nil {
				return err
			}
		}
		return nil
	}
	for range 2 {
		newer, err := kvstore.Open(path, kvstore.Options{
			Tables:     kvstore.Tables("people"),
			Migrations: []func(*kvstore.Tx) error{splitNames},
		})
		if err != nil {
			log.Fatal(err)
		}
		e, _, _ := newer.Get(ctx, "people", "1")
		fmt.Printf("%s #%d\n", e.Value, e.Counter)
		newer.Close(ctx)
	}
	// Output:
	// {"First":"Ada","Last":"Lovelace"} #1
	// {"First":"Ada","Last":"Lovelace"} #1
}
