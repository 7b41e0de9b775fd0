package kvstore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"postern/kvstore"
)

// A file system that is really full: what does not fit fails alone, and the
// store goes on when there is room again.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=0777"); err != nil {
		t.Skipf("no file system of a given size to be had here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 512<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "store.db")
	o := options()
	o.CheckpointPages = 20
	s := openPath(t, path, o)
	ctx := watchdog(t)

	l := &ledger{answers: map[string]error{}}
	enter := func(name string) error {
		err := s.Execute(ctx, func(tx *kvstore.Tx) error { return enterPair(tx, name) })
		l.answer(name, err)
		return err
	}
	full := 0
	for i := 0; full < 10; i++ {
		switch err := enter(fmt.Sprint("filling ", i)); {
		case errors.Is(err, kvstore.ErrFull):
			full++
		case err != nil:
			t.Fatalf("pair %d: %v", i, err)
		case i == 2000:
			t.Fatal("it does not get full")
		}
		if _, err := s.ListKeys(ctx, "t"); err != nil {
			t.Fatalf("reading beside it: %v", err)
		}
	}
	if err := s.Err(); err != nil {
		t.Fatalf("stopped: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := enter(fmt.Sprint("room ", i)); err != nil {
			t.Errorf("with room again: %v", err)
		}
	}
	if err := s.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := l.check(ctx, path); err != nil {
		t.Error(err)
	}
}
