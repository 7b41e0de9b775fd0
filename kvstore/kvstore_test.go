package kvstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/kvstore"
)

// childEnv names the role in which a test has started this binary again.
const childEnv = "KVSTORE_TEST_CHILD"

func TestMain(m *testing.M) {
	switch role := os.Getenv(childEnv); role {
	case "":
		os.Exit(m.Run())
	case "hold":
		childHold(os.Args[1])
	case "write":
		childWrite(os.Args[1])
	default:
		fmt.Fprintf(os.Stderr, "no such role: %s\n", role)
		os.Exit(2)
	}
}

// child prepares this binary to run in another role on the file.
func child(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, path)
	cmd.Env = append(os.Environ(), childEnv+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// patience is how long anything may take before a test calls it hung.
const patience = 60 * time.Second

func watchdog(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// receive waits for a value, or fails the test.
func receive[T any](t *testing.T, ctx context.Context, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-ctx.Done():
		t.Fatal("hangs")
	}
	return v
}

// eventually polls for a condition that nothing announces.
func eventually(t *testing.T, ctx context.Context, what string, holds func() bool) {
	t.Helper()
	for !holds() {
		if ctx.Err() != nil {
			t.Fatalf("never: %s", what)
		}
		runtime.Gosched()
	}
}

// options are what most tests open a store with.
func options() kvstore.Options {
	return kvstore.Options{Tables: kvstore.Tables("t", "other"), SweepEvery: -1}
}

// openFile opens a store in a new folder and closes it with the test.
func openFile(t testing.TB, o kvstore.Options) *kvstore.Store {
	t.Helper()
	return openPath(t, filepath.Join(t.TempDir(), "store.db"), o)
}

func openPath(t testing.TB, path string, o kvstore.Options) *kvstore.Store {
	t.Helper()
	s, err := kvstore.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, s)
	return s
}

func openMemory(t testing.TB, o kvstore.Options) *kvstore.Store {
	t.Helper()
	s, err := kvstore.OpenMemory(o)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, s)
	return s
}

func closeAfter(t testing.TB, s *kvstore.Store) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// eachKind runs a test on a file store and on one in memory.
func eachKind(t *testing.T, o kvstore.Options, test func(*testing.T, *kvstore.Store)) {
	t.Run("file", func(t *testing.T) { test(t, openFile(t, o)) })
	t.Run("memory", func(t *testing.T) { test(t, openMemory(t, o)) })
}

// hold makes the storage goroutine run a procedure until release is called,
// which returns when that procedure has been answered.
func hold(t *testing.T, ctx context.Context, s *kvstore.Store) (release func()) {
	t.Helper()
	running, end, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var once sync.Once // it may be run again
	go func() {
		done <- s.Execute(context.Background(), func(*kvstore.Tx) error {
			once.Do(func() { close(running) })
			<-end
			return nil
		})
	}()
	receive(t, ctx, running)
	released := false
	release = func() {
		if !released {
			released = true
			close(end)
			receive(t, ctx, done)
		}
	}
	t.Cleanup(release)
	return release
}

// queue starts n procedures behind the one that holds the store and returns
// when all of them are queued, with their answers to come.
func queue(t *testing.T, ctx context.Context, s *kvstore.Store, n int, fn func(i int, tx *kvstore.Tx) error) []<-chan error {
	t.Helper()
	answers := make([]<-chan error, n)
	for i := range n {
		answer := make(chan error, 1)
		before := s.Stats().Queued
		go func() {
			answer <- s.Execute(ctx, func(tx *kvstore.Tx) error { return fn(i, tx) })
		}()
		eventually(t, ctx, "queued", func() bool { return s.Stats().Queued == before+1 })
		answers[i] = answer
	}
	return answers
}

func mustGet(t *testing.T, s *kvstore.Store, key string) string {
	t.Helper()
	e, found, err := s.Get(watchdog(t), "t", key)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	if !found {
		return "absent"
	}
	return string(e.Value)
}

func wantErr(t *testing.T, what string, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("%s: got error %v, want %v", what, err, target)
		}
	}
}

// wantText checks an error's message: it names the package first, once, and
// what the user needs to know.
func wantText(t *testing.T, what string, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	if text := err.Error(); !strings.HasPrefix(text, "kvstore: ") || strings.Count(text, "kvstore: ") > 1 {
		t.Errorf("%s: message %q, want one prefix kvstore:", what, text)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: message %q does not say %q", what, err, part)
		}
	}
}
