package kvstore_test

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/kvstore"
)

// follow returns what Follow yields next, the entries of a page in one line.
func follow(ctx context.Context, path, table, prefix string) (next func() string, stop func()) {
	pull, stop := iter.Pull2(kvstore.Follow(ctx, path, table, prefix))
	return func() string {
		page, err, ok := pull()
		if !ok || err != nil {
			return fmt.Sprintf("ended: %v", err)
		}
		var all []string
		for _, e := range page {
			all = append(all, seen(e))
		}
		return strings.Join(all, ", ")
	}, stop
}

// The store is open all the time: following takes no lock.
func TestFollow(t *testing.T) {
	var now atomic.Int64 // seconds from the present
	o := options()
	o.Clock = func() time.Time { return time.Now().Add(time.Duration(now.Load()) * time.Second) }
	path := filepath.Join(t.TempDir(), "store.db")
	s := openPath(t, path, o)
	ctx := watchdog(t)
	for _, key := range []string{"a/1", "a/2", "b/1"} {
		s.Overwrite(ctx, "t", key, []byte("old"))
	}
	cancelled, cancel := context.WithCancel(ctx)
	next, stop := follow(cancelled, path, "T", "a/")
	defer stop()
	want := func(what string) {
		t.Helper()
		if got := next(); got != what {
			t.Fatalf("%s, want %s", got, what)
		}
	}
	want("a/1=old, a/2=old")
	s.Overwrite(ctx, "t", "b/1", []byte("not ours"))
	s.Overwrite(ctx, "other", "a/1", []byte("not ours"))
	for i := range 100 { // coalesced
		err := s.Execute(ctx, func(tx *kvstore.Tx) error {
			tx.Overwrite("t", "a/1", fmt.Append(nil, i))
			tx.Overwrite("t", "a/4", fmt.Append(nil, i))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			want("a/1=0, a/4=0")
		}
	}
	for got := ""; got != "a/1=99, a/4=99"; {
		if got = next(); strings.HasPrefix(got, "ended") {
			t.Fatal(got)
		}
	}
	s.Overwrite(ctx, "t", "a/3", []byte{}, kvstore.TTL(time.Hour))
	want("a/3=")
	now.Add(7200)
	if n, err := s.Sweep(ctx); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	want("a/3 gone")
	s.Delete(ctx, "t", "a/2")
	want("a/2 gone")
	s.Execute(ctx, func(tx *kvstore.Tx) error {
		tx.Clear("t")
		tx.Add("t", "a/1", []byte("new"))
		return nil
	})
	want("a/1=new")
	want("a/4 gone")
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	s = openPath(t, path, o)
	s.Add(ctx, "t", "a/2", []byte("again"))
	want("a/2=again")

	empty, stop := follow(ctx, path, "t", "none")
	defer stop()
	if got := empty(); got != "" {
		t.Errorf("nothing is there: %s", got)
	}
	cancel()
	if got := next(); !strings.Contains(got, path) || !strings.HasSuffix(got, ": context canceled") {
		t.Error(got)
	}
}

// More than a page, at first and later.
func TestFollowMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := openPath(t, path, options())
	ctx := watchdog(t)
	const n = 700
	write := func(do func(tx *kvstore.Tx, key string) error) {
		err := s.Execute(ctx, func(tx *kvstore.Tx) error {
			for i := range n {
				if err := do(tx, fmt.Sprintf("%04d", i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put := func(tx *kvstore.Tx, key string) error { _, err := tx.Overwrite("t", key, []byte("v")); return err }
	remove := func(tx *kvstore.Tx, key string) error { _, err := tx.Delete("t", key); return err }
	write(put)
	i, round := 0, 0
	for page, err := range kvstore.Follow(ctx, path, "t", "") {
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			want := fmt.Sprintf("%04d", i)
			if e.Key != want || (e.Value == nil) != (round == 2) || e.Counter != uint64(round%2) {
				t.Fatalf("round %d: %+v, want %s", round, e, want)
			}
			i++
		}
		if i < n {
			continue
		}
		if i, round = 0, round+1; round == 3 {
			break
		}
		write([]func(*kvstore.Tx, string) error{put, remove}[round-1])
	}
}

// Who looks on sees what processes write that are killed again and again.
func TestFollowThroughCrashes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	ctx := watchdog(t)
	s := openPath(t, path, options())
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	following, cancel := context.WithCancel(ctx)
	defer cancel()
	shown := make(chan map[string]string)
	go func() { // ended by cancel
		defer close(shown)
		state := map[string]string{}
		for page, err := range kvstore.Follow(following, path, "t", "") {
			if err != nil {
				if following.Err() == nil {
					t.Error(err)
				}
				return
			}
			for _, e := range page {
				if state[e.Key] = fmt.Sprintf("%s #%d", e.Value, e.Counter); e.Value == nil {
					delete(state, e.Key)
				}
			}
			select {
			case shown <- maps.Clone(state):
			case <-following.Done():
				return
			}
		}
	}()
	looks := 0
	rng := rand.New(rand.NewPCG(1, 2))
	var answered [childWriters]int
	for range 8 {
		killed := make(chan struct{})
		go func() {
			killOne(t, ctx, path, rng, &answered)
			close(killed)
		}()
		for running := true; running; {
			select {
			case <-shown:
				looks++
			case <-killed:
				running = false
			case <-ctx.Done():
				t.Fatal("hangs")
			}
		}
	}
	s = openPath(t, path, options())
	want := map[string]string{}
	err := s.View(ctx, func(tx *kvstore.ReadTx) error {
		for e, err := range tx.Entries("t", kvstore.Range{}) {
			if err != nil {
				return err
			}
			want[e.Key] = fmt.Sprintf("%s #%d", e.Value, e.Counter)
		}
		return nil
	})
	if err != nil || len(want) < childWriters*childKept {
		t.Fatalf("%d entries, %v", len(want), err)
	}
	// The last look may have been before this: then nothing more comes, and the
	// state is right already.
	counter, err := s.Overwrite(ctx, "t", "the end", nil)
	if err != nil {
		t.Fatal(err)
	}
	want["the end"] = fmt.Sprintf(" #%d", counter)
	for state := map[string]string{}; !maps.Equal(state, want); {
		state = receive(t, ctx, shown)
	}
	if looks < 5 {
		t.Errorf("only %d pages while others wrote: the test proves little", looks)
	}
}

// A follower that dawdles does not keep the log from starting over.
func TestFollowHoldsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	o := options()
	o.CheckpointPages = 20
	s := openPath(t, path, o)
	ctx := watchdog(t)
	err := s.Execute(ctx, func(tx *kvstore.Tx) error {
		for i := range 1000 {
			if _, err := tx.Add("t", fmt.Sprint(i), nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	next, stop := follow(ctx, path, "t", "")
	defer stop()
	next() // and it stands there, with more to read
	for range 200 {
		if _, err := s.Overwrite(ctx, "t", "k", make([]byte, 20_000)); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Stats().Checkpoints; n < 5 {
		t.Errorf("%d checkpoints", n)
	}
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 3*20*4096 {
		t.Errorf("log of %d bytes", info.Size())
	}
}

func TestFollowRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("text"), slices.Repeat([]byte("not a database\n"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	runSQL(t, at("foreign"), `CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)`)
	runSQL(t, at("freetser"), `CREATE TABLE t (key TEXT PRIMARY KEY, counter INTEGER NOT NULL, expiration INTEGER NOT NULL, value BLOB NOT NULL) STRICT`)
	closedStore(t, at("store"))
	for _, c := range []struct {
		name, table string
		is          error
		parts       []string
	}{
		{"missing", "t", fs.ErrNotExist, []string{at("missing")}},
		{"empty", "t", nil, []string{at("empty"), "open it as a store first"}},
		{"freetser", "t", nil, []string{"open it as a store first"}},
		{"text", "t", kvstore.ErrCorrupt, []string{at("text"), "not a database"}},
		{"foreign", "t", nil, []string{"another program"}},
		{".", "t", nil, []string{"is a folder"}},
		{"store", "users", kvstore.ErrNoTable, []string{`"users"`, "there are: other, t"}},
	} {
		before, _ := os.ReadFile(at(c.name))
		n := 0
		for _, err := range kvstore.Follow(watchdog(t), at(c.name), c.table, "") {
			wantText(t, c.name, err, c.parts...)
			if c.is != nil {
				wantErr(t, c.name, err, c.is)
			}
			n++
		}
		if n != 1 {
			t.Errorf("%s: %d pairs", c.name, n)
		}
		if after, _ := os.ReadFile(at(c.name)); !slices.Equal(before, after) {
			t.Errorf("%s was changed", c.name)
		}
	}
	if left, err := filepath.Glob(at("missing*")); len(left) > 0 || err != nil {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// Another file in its place, as after a backup was put back, is not passed over.
func TestFollowEndsWithItsFile(t *testing.T) {
	for name, do := range map[string]func(path, other string) error{
		"replaced by another": func(path, other string) error { return os.Rename(other, path) },
		"no such file":        func(path, _ string) error { return os.Remove(path) },
	} {
		dir := t.TempDir()
		path, other := filepath.Join(dir, "store.db"), filepath.Join(dir, "other.db")
		closedStore(t, path)
		closedStore(t, other)
		next, stop := follow(watchdog(t), path, "t", "")
		defer stop()
		next()
		if err := do(path, other); err != nil {
			t.Skip(err) // where an open file cannot be replaced
		}
		if got := next(); !strings.HasPrefix(got, "ended") || !strings.Contains(got, name) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
