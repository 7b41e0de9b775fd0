package kvstore_test

import (
	"context"
	"fmt"
	"testing"

	"postern/kvstore"
)

// fill makes a store with n entries of 100 bytes.
func fill(b *testing.B, s *kvstore.Store, n int) {
	b.Helper()
	err := s.Execute(context.Background(), func(tx *kvstore.Tx) error {
		for i := range n {
			if _, err := tx.Add("t", benchKey(i), make([]byte, 100)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

const benchKeys = 10_000

func benchKey(i int) string { return fmt.Sprintf("key%06d", i*7919%benchKeys) }

func benchEachKind(b *testing.B, run func(*testing.B, *kvstore.Store)) {
	for _, kind := range []struct {
		name string
		open func(testing.TB, kvstore.Options) *kvstore.Store
	}{{"file", openFile}, {"memory", openMemory}} {
		b.Run(kind.name, func(b *testing.B) {
			s := kind.open(b, options())
			fill(b, s, benchKeys)
			b.ReportAllocs()
			run(b, s)
		})
	}
}

func BenchmarkGet(b *testing.B) {
	benchEachKind(b, func(b *testing.B, s *kvstore.Store) {
		ctx, i := context.Background(), 0
		for b.Loop() {
			i++
			if _, found, err := s.Get(ctx, "t", benchKey(i)); !found || err != nil {
				b.Fatal(found, err)
			}
		}
	})
}

// BenchmarkView reads ten entries and a page of a hundred keys.
func BenchmarkView(b *testing.B) {
	benchEachKind(b, func(b *testing.B, s *kvstore.Store) {
		ctx, i := context.Background(), 0
		for b.Loop() {
			err := s.View(ctx, func(tx *kvstore.ReadTx) error {
				for range 10 {
					i++
					if _, _, err := tx.Get("t", benchKey(i)); err != nil {
						return err
					}
				}
				for _, err := range tx.Keys("t", kvstore.Range{Prefix: "key0", Limit: 100}) {
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOverwrite is durable on a file: a flush to disk for each.
func BenchmarkOverwrite(b *testing.B) {
	benchEachKind(b, func(b *testing.B, s *kvstore.Store) {
		ctx, value, i := context.Background(), make([]byte, 100), 0
		for b.Loop() {
			i++
			if _, err := s.Overwrite(ctx, "t", benchKey(i), value); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSweepNothingDue is what the sweeper costs an idle store.
func BenchmarkSweepNothingDue(b *testing.B) {
	benchEachKind(b, func(b *testing.B, s *kvstore.Store) {
		ctx := context.Background()
		for b.Loop() {
			if _, err := s.Sweep(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}
