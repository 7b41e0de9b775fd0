package fuzz_test

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/kvstore"
)

// FuzzKeys reads the input as keys separated by commas: what Add took, Get,
// Keys and Delete must give back byte for byte, as a map does.
func FuzzKeys(f *testing.F) {
	for _, seed := range []string{"", "a", "a,b,a", "a\x00,a,a\x00b", "\xff,\xff\xff,\x80", "é,e\u0301", "';--,\",%_"} {
		f.Add([]byte(seed), []byte("value\x00\xff"))
	}
	s, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables("t"), SweepEvery: -1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close(context.Background()) })

	f.Fuzz(func(t *testing.T, input, value []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		err := s.Execute(ctx, func(tx *kvstore.Tx) error {
			if _, err := tx.Clear("t"); err != nil {
				return err
			}
			return roundTrip(tx, strings.Split(string(input), ","), value)
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func roundTrip(tx *kvstore.Tx, keys []string, value []byte) error {
	want := map[string][]byte{}
	for i, key := range keys {
		_, there := want[key]
		v := fmt.Appendf(nil, "%d%s", i, value)
		_, err := tx.Add("t", key, v)
		if (err != nil) != there {
			return fmt.Errorf("add %q: %v, present before: %v", key, err, there)
		}
		if !there {
			want[key] = v
		}
	}
	sorted := slices.Sorted(slices.Values(keys))
	sorted = slices.Compact(sorted)
	i := 0
	for key, err := range tx.Keys("t", kvstore.Range{}) {
		if err != nil {
			return err
		}
		if i >= len(sorted) || key != sorted[i] {
			return fmt.Errorf("key %d of the table is %q, want the keys %q", i, key, sorted)
		}
		i++
	}
	if i != len(sorted) {
		return fmt.Errorf("listed %d keys, want %q", i, sorted)
	}
	for _, key := range sorted {
		e, found, err := tx.Get("t", key)
		if err != nil || !found || e.Key != key || !bytes.Equal(e.Value, want[key]) {
			return fmt.Errorf("get %q: %q %v %v, want %q", key, e.Value, found, err, want[key])
		}
		below := 0
		for k, err := range tx.Keys("t", kvstore.Range{Prefix: key}) {
			if err != nil || !strings.HasPrefix(k, key) {
				return fmt.Errorf("prefix %q: got %q, %v", key, k, err)
			}
			below++
		}
		wantBelow := 0
		for _, k := range sorted {
			if strings.HasPrefix(k, key) {
				wantBelow++
			}
		}
		if below != wantBelow {
			return fmt.Errorf("prefix %q: %d keys, want %d", key, below, wantBelow)
		}
	}
	for _, key := range sorted {
		if ok, err := tx.Delete("t", key); !ok || err != nil {
			return fmt.Errorf("delete %q: %v %v", key, ok, err)
		}
	}
	for key, err := range tx.Keys("t", kvstore.Range{}) {
		return fmt.Errorf("left after deleting all: %q, %v", key, err)
	}
	return nil
}

var tableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}\z`)

// FuzzTableNames: OpenMemory takes the documented names and no others, and a
// table works under every name that it takes.
func FuzzTableNames(f *testing.F) {
	for _, seed := range []string{
		"", "users", "order", "select", "_", "9a", "a-b", "a b", `a"b`, "a;DROP TABLE kv_meta", "a\x00", "é", "a\n",
		"sqlite_x", "SQLITE_", "kv_meta", "KV_", "kv", "sqlite", strings.Repeat("a", 64), strings.Repeat("a", 65),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		lower := strings.ToLower(name)
		valid := tableName.MatchString(name) && !strings.HasPrefix(lower, "sqlite_") && !strings.HasPrefix(lower, "kv_")
		s, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables(name), SweepEvery: -1})
		if (err == nil) != valid {
			t.Fatalf("open with table %q: %v, valid: %v", name, err, valid)
		}
		if err != nil {
			return
		}
		defer s.Close(ctx)
		if _, err := s.Add(ctx, name, "k", []byte("v")); err != nil {
			t.Fatalf("add to %q: %v", name, err)
		}
		if e, found, err := s.Get(ctx, name, "k"); string(e.Value) != "v" || !found || err != nil {
			t.Fatalf("get from %q: %+v %v %v", name, e, found, err)
		}
		if n, err := s.Clear(ctx, name); n != 1 || err != nil {
			t.Fatalf("clear %q: %d %v", name, n, err)
		}
	})
}
