package fuzz_test

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"regexp"
	"testing"
	"time"

	"postern/kvstore"
)

// document is a value with something of everything that JSON has.
type document struct {
	Text   string
	Bytes  []byte
	Number int64
	Real   float64
	Flag   bool
	List   []document
	Map    map[string]*int8
	Any    any `json:",omitempty"`
	When   time.Time
}

// FuzzCodec: what the JSON codec takes from a table it writes back so that it
// reads the same again; what it does not take is an error with the key and
// without the value, and leaves the entry alone.
func FuzzCodec(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `{} {}`, `{"Text":"a"`, `{"Text":"\ud800","Number":-1}`, `{"Bytes":"AP8=","Real":1e300}`,
		`{"List":[{"List":[null,{}]}],"Map":{"":null,"k":-128}}`, `{"Map":{"k":128}}`, `{"Any":[1,"x",{"y":null}]}`,
		`{"When":"2030-01-02T03:04:05Z"}`, `{"When":"hunter2hunter2hunter2"}`, "\xff\xfe", `{"Text":"` + "\xff" + `"}`, ` {"Flag":true} `,
	} {
		f.Add([]byte(seed), "key")
	}
	s, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables("t"), SweepEvery: -1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close(context.Background()) })
	documents := kvstore.NewTyped("t", kvstore.JSON[document]())

	f.Fuzz(func(t *testing.T, stored []byte, key string) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		err := s.Execute(ctx, func(tx *kvstore.Tx) error {
			if _, err := tx.Overwrite("t", key, stored); err != nil {
				return err
			}
			first, _, err := documents.Get(tx, key)
			if err != nil {
				return notDocument(tx, documents, key, stored, err)
			}
			if _, err := documents.Modify(tx, key, func(*document) error { return nil }); err != nil {
				return fmt.Errorf("write back %+v: %w", first.Value, err)
			}
			again, _, err := documents.Get(tx, key)
			if err != nil || !reflect.DeepEqual(first.Value, again.Value) {
				return fmt.Errorf("read %+v, and after writing it back %+v, %v", first.Value, again.Value, err)
			}
			text, err := kvstore.JSON[document]().Append([]byte("before"), again.Value)
			e, _, _ := tx.Get("t", key)
			if err != nil || string(text) != "before"+string(e.Value) {
				return fmt.Errorf("appended %q, %v; stored %q", text, err, e.Value)
			}
			_, err = documents.Delete(tx, key)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// codecRefusal is all that an error about a value that is no document may say.
var codecRefusal = regexp.MustCompile(` in table "t": (value is no JSON text, at byte \d+|` +
	`JSON value does not fit fuzz_test\.document(: field "[A-Za-z.]*" is no [a-z0-9_.]+)?)$`)

// notDocument checks the error about a value that is no document.
func notDocument(tx *kvstore.Tx, documents kvstore.Typed[document], key string, stored []byte, err error) error {
	if !codecRefusal.MatchString(err.Error()) {
		return fmt.Errorf("error for %q: %w", stored, err)
	}
	_, failed := documents.Modify(tx, key, func(*document) error { return fmt.Errorf("called") })
	e, _, getErr := tx.Get("t", key)
	if failed == nil || failed.Error() == "called" || getErr != nil || !bytes.Equal(e.Value, stored) {
		return fmt.Errorf("modify of a value that cannot be read: %v; now %q, %v", failed, e.Value, getErr)
	}
	_, err = tx.Delete("t", key)
	return err
}
