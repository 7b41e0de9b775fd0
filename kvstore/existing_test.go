package kvstore_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"postern/kvstore"
)

func TestOpenExistingFindsTheTables(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	ctx := watchdog(t)
	o := options()
	o.Tables = append(kvstore.Tables("users", "Order"), kvstore.Table{Name: "small", SmallValues: true})
	s := openPath(t, path, o)
	s.Add(ctx, "small", "k", []byte("v"))
	s.Add(ctx, "small", "gone", nil)
	s.Delete(ctx, "small", "gone")
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	runSQL(t, path, `CREATE TABLE notes (text TEXT)`)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	s, err = kvstore.OpenExisting(path, kvstore.Options{SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.Tables(), []string{"Order", "small", "users"}; !slices.Equal(got, want) {
		t.Errorf("tables %q, want %q", got, want)
	}
	if e, found, err := s.Get(ctx, "small", "k"); string(e.Value) != "v" || !found || err != nil {
		t.Errorf("got %+v %v %v", e, found, err)
	}
	_, _, err = s.Get(ctx, "usres", "k")
	wantErr(t, "no such table", err, kvstore.ErrNoTable)
	_, err = kvstore.OpenExisting(path, kvstore.Options{})
	wantErr(t, "a second one", err, kvstore.ErrLocked)
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(path); err != nil || !slices.Equal(before, after) {
		t.Errorf("looking changed the file (%v)", err)
	}

	s, err = kvstore.OpenExisting(path, kvstore.Options{SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, s)
	if counter, err := s.Add(ctx, "small", "gone", nil); counter != 1 || err != nil {
		t.Errorf("counter %d, %v; want 1, above the deleted one", counter, err)
	}
}

func TestOpenExistingReadsFreetserFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	runSQL(t, path, `
		CREATE TABLE users (key TEXT PRIMARY KEY, counter INTEGER NOT NULL, expiration INTEGER NOT NULL, value BLOB NOT NULL) STRICT;
		INSERT INTO users VALUES ('alice', 3, 0, x'61');`)
	s, err := kvstore.OpenExisting(path, kvstore.Options{SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, s)
	if e, found, err := s.Get(watchdog(t), "users", "alice"); string(e.Value) != "a" || e.Counter != 3 || !found || err != nil {
		t.Errorf("got %+v %v %v", e, found, err)
	}
}

// The log of a process that was killed is part of the file.
func TestOpenExistingAfterACrash(t *testing.T) {
	dir := t.TempDir()
	s := openPath(t, filepath.Join(dir, "store.db"), options())
	if _, err := s.Add(watchdog(t), "t", "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	crashed := filepath.Join(t.TempDir(), "store.db")
	for _, suffix := range []string{"", "-wal"} {
		image, err := os.ReadFile(filepath.Join(dir, "store.db"+suffix))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(crashed+suffix, image, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := kvstore.OpenExisting(crashed, kvstore.Options{SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, found)
	if got := mustGet(t, found, "k"); got != "v" {
		t.Errorf("got %s, want v", got)
	}
}

func TestOpenExistingRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("text"), slices.Repeat([]byte("not a database\n"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	runSQL(t, at("foreign"), `CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)`)
	for _, c := range []struct {
		name  string
		is    error
		parts []string
	}{
		{"missing", fs.ErrNotExist, []string{at("missing")}},
		{"no/folder", fs.ErrNotExist, []string{at("no/folder")}},
		{"empty", nil, []string{at("empty"), "is empty"}},
		{"text", kvstore.ErrCorrupt, []string{at("text"), "not a database"}},
		{"foreign", nil, []string{"another program"}},
		{".", nil, []string{"is a folder"}},
	} {
		before, _ := os.ReadFile(at(c.name))
		_, err := kvstore.OpenExisting(at(c.name), kvstore.Options{})
		wantText(t, c.name, err, c.parts...)
		if c.is != nil {
			wantErr(t, c.name, err, c.is)
		}
		if after, _ := os.ReadFile(at(c.name)); !slices.Equal(before, after) {
			t.Errorf("%s was changed", c.name)
		}
	}
	if left, err := filepath.Glob(at("missing*")); len(left) > 0 || err != nil {
		t.Errorf("left behind: %q, %v", left, err)
	}
	_, err := kvstore.OpenExisting(at("foreign"), options())
	wantText(t, "declared tables", err, "Options.Tables")
	_, err = kvstore.OpenExisting(at("foreign"), kvstore.Options{Migrations: []migration{note("a")}})
	wantText(t, "migrations", err, "Options.Migrations")
}
