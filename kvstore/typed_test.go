package kvstore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"postern/kvstore"
)

type user struct {
	Name string `json:"name"`
	Age  int    `json:"age"`
}

var users = kvstore.NewTyped("t", kvstore.JSON[user]())

func TestTypedErrorsNameTheKeyAndNotTheValue(t *testing.T) {
	const secret = "hunter2"
	moments := kvstore.NewTyped("t", kvstore.JSON[time.Time]())
	floats := kvstore.NewTyped("t", kvstore.JSON[float64]())
	read := func(stored string, get func(tx *kvstore.Tx) error) func(*kvstore.Tx) error {
		return func(tx *kvstore.Tx) error {
			if _, err := tx.Overwrite("t", "bob", []byte(stored)); err != nil {
				return fmt.Errorf("not this: %w", err)
			}
			return get(tx)
		}
	}
	getUser := func(tx *kvstore.Tx) error { _, _, err := users.Get(tx, "bob"); return err }
	for name, c := range map[string]struct {
		do   func(*kvstore.Tx) error
		want string
	}{
		"no JSON":       {read(secret, getUser), `kvstore: get "bob" in table "t": value is no JSON text, at byte 1`},
		"empty":         {read("", getUser), `kvstore: get "bob" in table "t": value is no JSON text, at byte 0`},
		"cut":           {read(`{"name":"hunter2`, getUser), `kvstore: get "bob" in table "t": value is no JSON text, at byte 16`},
		"trailing data": {read(`{"name":"x"} hunter2`, getUser), `kvstore: get "bob" in table "t": value is no JSON text, at byte 14`},
		"wrong type":    {read(`{"age":"hunter2"}`, getUser), `kvstore: get "bob" in table "t": JSON value does not fit kvstore_test.user: field "age" is no int`},
		"wrong kind":    {read(`"hunter2"`, getUser), `kvstore: get "bob" in table "t": JSON value does not fit kvstore_test.user`},
		"own unmarshaler": {read(`"hunter2"`, func(tx *kvstore.Tx) error { _, _, err := moments.Get(tx, "bob"); return err }),
			`kvstore: get "bob" in table "t": JSON value does not fit time.Time`},
		"in a listing": {read(secret, func(tx *kvstore.Tx) error {
			for _, err := range users.Entries(tx, kvstore.Range{}) {
				if err != nil {
					return err
				}
			}
			return nil
		}), `kvstore: decode "bob" in table "t": value is no JSON text, at byte 1`},
		"in modify": {read(secret, func(tx *kvstore.Tx) error {
			_, err := users.Modify(tx, "bob", func(*user) error { panic("called") })
			return err
		}), `kvstore: modify "bob" in table "t": value is no JSON text, at byte 1`},
		"cannot be written": {func(tx *kvstore.Tx) error { _, err := floats.Add(tx, "new", math.NaN()); return err },
			`kvstore: add "new" in table "t": float64 cannot be written as JSON`},
	} {
		t.Run(name, func(t *testing.T) {
			s := openMemory(t, options())
			err := s.Execute(watchdog(t), func(tx *kvstore.Tx) error {
				err := c.do(tx)
				if _, err := tx.Add("t", "later", nil); err != nil {
					t.Errorf("the transaction is not usable: %v", err)
				}
				return err
			})
			if err == nil || err.Error() != c.want {
				t.Fatalf("got %v\nwant %s", err, c.want)
			}
			var where *kvstore.KeyError
			if !errors.As(err, &where) || where.Table != "t" {
				t.Errorf("%#v is no KeyError for table t", err)
			}
			if errors.Unwrap(where.Err) == nil {
				t.Errorf("the cause is lost: %#v", where.Err)
			}
		})
	}
}

func TestTypedEntriesEndWithAnError(t *testing.T) {
	s := openMemory(t, options())
	ctx := watchdog(t)
	for key, value := range map[string]string{"1": `{"age":1}`, "2": "no JSON", "3": `{"age":3}`} {
		if _, err := s.Add(ctx, "t", key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	got := ""
	err := s.View(ctx, func(tx *kvstore.ReadTx) error {
		for e, err := range users.Entries(tx, kvstore.Range{}) {
			got += fmt.Sprint(e.Key, " ", e.Value.Age, " ", err != nil, "; ")
		}
		return nil
	})
	if want := "1 1 false; 2 0 true; "; got != want || err != nil {
		t.Errorf("got %s %v, want %s", got, err, want)
	}
}

// blob is a codec that is no JSON: a length-checked raw value.
type blob struct{}

func (blob) Append(dst []byte, v []byte) ([]byte, error) {
	if len(v) > 3 {
		return nil, errors.New("longer than 3 bytes")
	}
	return append(append(dst, '!'), v...), nil
}

func (blob) Decode(data []byte) ([]byte, error) {
	v, found := bytes.CutPrefix(data, []byte("!"))
	if !found {
		return nil, errors.New("no mark")
	}
	return v, nil
}

func TestTypedWithACodecOfOnesOwn(t *testing.T) {
	blobs := kvstore.NewTyped("t", kvstore.Codec[[]byte](blob{}))
	s := openMemory(t, options())
	ctx := watchdog(t)
	err := s.Execute(ctx, func(tx *kvstore.Tx) error {
		_, err := blobs.Add(tx, "a", []byte("abc"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := mustGet(t, s, "a"); got != "!abc" {
		t.Errorf("stored %q, want !abc", got)
	}
	for name, write := range map[string]func(tx *kvstore.Tx) error{
		"add":        func(tx *kvstore.Tx) error { _, err := blobs.Add(tx, "b", []byte("long")); return err },
		"update":     func(tx *kvstore.Tx) error { _, err := blobs.Update(tx, "a", []byte("long"), 0); return err },
		"try update": func(tx *kvstore.Tx) error { _, err := blobs.TryUpdate(tx, "a", []byte("long"), 0); return err },
		"overwrite":  func(tx *kvstore.Tx) error { _, err := blobs.Overwrite(tx, "a", []byte("long")); return err },
		"modify": func(tx *kvstore.Tx) error {
			_, err := blobs.Modify(tx, "a", func(v *[]byte) error { *v = []byte("long"); return nil })
			return err
		},
	} {
		err := s.Execute(ctx, write)
		wantText(t, name, err, "kvstore: "+name+` "`, "longer than 3 bytes")
		if got := mustGet(t, s, "a") + mustGet(t, s, "b"); got != "!abcabsent" {
			t.Errorf("%s wrote all the same: %s", name, got)
		}
	}
}

func TestJSONAppends(t *testing.T) {
	got, err := kvstore.JSON[string]().Append([]byte("before\n"), "<&>\u2028")
	if want := "before\n\"<&>\\u2028\""; string(got) != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	got, err = kvstore.JSON[any]().Append([]byte("before"), func() {})
	var cause *json.UnsupportedTypeError
	if string(got) != "before" || !errors.As(err, &cause) {
		t.Errorf("got %q, %v; want dst unchanged and the cause", got, err)
	}
}

func TestNewTypedWithoutCodecPanics(t *testing.T) {
	defer func() {
		if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "nil codec") {
			t.Errorf("recovered %v", v)
		}
	}()
	kvstore.NewTyped[int]("t", nil)
}

// A program declares its tables once, with the types that are in them.
func ExampleTyped() {
	type account struct {
		Owner   string `json:"owner"`
		Balance int    `json:"balance"` // cents
	}
	accounts := kvstore.NewTyped("accounts", kvstore.JSON[account]())

	ctx := context.Background()
	store, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables(accounts.Table())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close(ctx)

	err = store.Execute(ctx, func(tx *kvstore.Tx) error {
		if _, err := accounts.Add(tx, "1001", account{"Ada", 500}); err != nil {
			return err
		}
		_, err := accounts.Add(tx, "1002", account{"Ben", 0})
		return err
	})
	fmt.Println(err)

	err = store.View(ctx, func(tx *kvstore.ReadTx) error {
		for e, err := range accounts.Entries(tx, kvstore.Range{}) {
			if err != nil {
				return err
			}
			fmt.Println(e.Key, e.Value.Owner, e.Value.Balance)
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// <nil>
	// 1001 Ada 500
	// 1002 Ben 0
	// <nil>
}

// Modify reads, changes and writes in one procedure.
func ExampleTyped_Modify() {
	visits := kvstore.NewTyped("visits", kvstore.JSON[int]())
	ctx := context.Background()
	store, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables(visits.Table())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close(ctx)
	store.Add(ctx, "visits", "home", []byte("41"))

	visit := func(page string) error {
		return store.Execute(ctx, func(tx *kvstore.Tx) error {
			_, err := visits.Modify(tx, page, func(n *int) error { *n++; return nil })
			return err
		})
	}
	fmt.Println(visit("home"))
	e, _, _ := store.Get(ctx, "visits", "home")
	fmt.Println(string(e.Value), e.Counter)

	err = visit("hoem")
	fmt.Println(err)
	fmt.Println(errors.Is(err, kvstore.ErrCounterMismatch))
	// Output:
	// <nil>
	// 42 1
	// kvstore: modify "hoem" in table "visits": no such entry
	// true
}
