package kvstore_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"postern/kvstore"
)

type migration = func(*kvstore.Tx) error

// note returns a migration that appends its name to the entry "ran".
func note(name string) migration {
	return func(tx *kvstore.Tx) error {
		e, _, err := tx.Get("t", "ran")
		if err != nil {
			return err
		}
		_, err = tx.Overwrite("t", "ran", append(e.Value, name...))
		return err
	}
}

func TestMigrationsRunOnceInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	for _, step := range []struct {
		migrations []migration
		want       string
	}{
		{nil, "absent"},
		{[]migration{note("a"), note("b")}, "ab"},
		{[]migration{note("a"), note("b")}, "ab"},
		{[]migration{note("X"), note("Y"), note("c")}, "abc"},
	} {
		o := options()
		o.Migrations = step.migrations
		s, err := kvstore.Open(path, o)
		if err != nil {
			t.Fatal(err)
		}
		if got := mustGet(t, s, "ran"); got != step.want {
			t.Errorf("after %d migrations: %s, want %s", len(step.migrations), got, step.want)
		}
		if err := s.Close(watchdog(t)); err != nil {
			t.Fatal(err)
		}
	}

	for _, fewer := range [][]migration{nil, {note("a")}, {note("a"), note("b")}} {
		o := options()
		o.Migrations = fewer
		_, err := kvstore.Open(path, o)
		wantText(t, "an older program", err, path, "has had 3 migrations", "knows "+string(rune('0'+len(fewer))))
	}
	s, err := kvstore.OpenExisting(path, kvstore.Options{})
	if err != nil {
		t.Fatalf("a tool: %v", err)
	}
	closeAfter(t, s)
}

func TestMigrationsInMemory(t *testing.T) {
	o := options()
	o.Migrations = []migration{note("a"), note("b")}
	s := openMemory(t, o)
	if got := mustGet(t, s, "ran"); got != "ab" {
		t.Errorf("got %s, want ab", got)
	}
}

func TestFailedMigration(t *testing.T) {
	cause := errors.New("cannot split the name")
	for name, bad := range map[string]struct {
		migration
		parts []string
		is    error
	}{
		"error": {func(tx *kvstore.Tx) error { note("b")(tx); return cause }, []string{"cannot split the name"}, cause},
		"panic": {func(tx *kvstore.Tx) error { note("b")(tx); panic(cause) }, []string{"panicked", "cannot split the name"}, cause},
		"fatal": {func(tx *kvstore.Tx) error { note("b")(tx); return kvstore.Fatal(cause) }, []string{"cannot split"}, cause},
		"no table": {func(tx *kvstore.Tx) error {
			tx.Overwrite("t", "huge", make([]byte, 100))
			_, _, err := tx.Get("nowhere", "k")
			return err
		}, []string{`"nowhere"`}, kvstore.ErrNoTable},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			o := options()
			o.Migrations = []migration{note("a"), bad.migration, note("c")}
			for range 2 { // the second Open does not run the first one again
				_, err := kvstore.Open(path, o)
				wantErr(t, "open", err, bad.is)
				wantText(t, "open", err, append(bad.parts, path, "migration 2 of 3: ")...)
			}
			_, err := kvstore.OpenMemory(o)
			wantText(t, "in memory", err, append(bad.parts, "migration 2 of 3: ")...)

			o.Migrations[1] = note("B") // repaired
			s := openPath(t, path, o)
			if got := mustGet(t, s, "ran"); got != "aBc" {
				t.Errorf("got %s, want aBc", got)
			}
			if got := mustGet(t, s, "huge"); got != "absent" {
				t.Errorf("half of the failed migration stayed")
			}
		})
	}
}

// A counter that a migration took out of use stays out of use.
func TestMigrationsKeepCounters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	ctx := watchdog(t)
	s := openPath(t, path, options())
	s.Add(ctx, "t", "k", nil)
	s.Overwrite(ctx, "t", "k", nil)
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	o := options()
	o.Migrations = []migration{
		func(tx *kvstore.Tx) error { _, err := tx.Delete("t", "k"); return err },
		func(tx *kvstore.Tx) error {
			if counter, err := tx.Add("t", "in migration", nil); err != nil || counter != 2 {
				t.Errorf("counter %d, %v; want 2", counter, err)
			}
			return nil
		},
	}
	s, err := kvstore.Open(path, o)
	if err == nil {
		err = s.Close(ctx) // so that nothing but the file knows
	}
	if err != nil {
		t.Fatal(err)
	}
	s = openPath(t, path, o)
	if counter, err := s.Add(ctx, "t", "k", nil); counter != 2 || err != nil {
		t.Errorf("counter %d, %v; want 2, above the deleted one", counter, err)
	}
}

func TestNilMigration(t *testing.T) {
	o := options()
	o.Migrations = []migration{note("a"), nil}
	_, err := kvstore.OpenMemory(o)
	wantText(t, "nil", err, "Migrations[1] is nil")
	if strings.Contains(err.Error(), "panic") {
		t.Error(err)
	}
}
