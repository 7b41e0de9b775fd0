package kvstore_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"postern/kvstore"
	"postern/kvstore/storetest"
)

// engine is a Store as the conformance suite wants it.
type engine struct{ *kvstore.Store }

func (e engine) Execute(ctx context.Context, fn func(storetest.Tx) error) error {
	return e.Store.Execute(ctx, func(tx *kvstore.Tx) error { return fn(tx) })
}

func (e engine) View(ctx context.Context, fn func(storetest.ReadTx) error) error {
	return e.Store.View(ctx, func(tx *kvstore.ReadTx) error { return fn(tx) })
}

func suiteOptions(clock func() time.Time) kvstore.Options {
	return kvstore.Options{Tables: storetest.Tables(), Clock: clock, SweepEvery: -1}
}

func TestFileStoreConforms(t *testing.T) {
	storetest.Run(t, storetest.Engine{Open: func(folder string, clock func() time.Time) (storetest.Store, error) {
		o := suiteOptions(clock)
		o.CheckpointPages = 5 // so that checkpoints fall between everything
		s, err := kvstore.Open(filepath.Join(folder, "store.db"), o)
		return engine{s}, err
	}})
}

func TestMemoryStoreConforms(t *testing.T) {
	storetest.Run(t, storetest.Engine{
		Volatile: true,
		Open: func(_ string, clock func() time.Time) (storetest.Store, error) {
			s, err := kvstore.OpenMemory(suiteOptions(clock))
			return engine{s}, err
		},
	})
}
