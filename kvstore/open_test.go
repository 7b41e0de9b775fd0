package kvstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"postern/kvstore"
)

// runSQL runs a script on the file as another program would.
func runSQL(t *testing.T, path, script string) {
	t.Helper()
	db, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := sqlitex.ExecuteScript(db, script, nil); err != nil {
		t.Fatal(err)
	}
}

// sqlNumber asks the file, as another program would, for one integer.
func sqlNumber(t *testing.T, path, query string) (n int64) {
	t.Helper()
	db, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = sqlitex.ExecuteTransient(db, query, &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		n = s.ColumnInt64(0)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("text"), bytes.Repeat([]byte("not a database\n"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	runSQL(t, at("foreign"), `CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)`)
	runSQL(t, at("marked"), `PRAGMA application_id = 7; CREATE TABLE t (x)`)
	runSQL(t, at("newer"), `CREATE TABLE x (y)`)
	closedStore(t, at("ours"))
	closedStore(t, at("newer2"))
	runSQL(t, at("newer2"), `PRAGMA user_version = 99`)
	closedStore(t, at("odd"))
	runSQL(t, at("odd"), `DROP TABLE t; CREATE TABLE t (key TEXT PRIMARY KEY, value BLOB)`)
	closedStore(t, at("view"))
	runSQL(t, at("view"), `DROP TABLE t; CREATE VIEW t AS SELECT 1`)
	runSQL(t, at("utf16"), `PRAGMA encoding = 'UTF-16le'; CREATE TABLE t
		(key TEXT PRIMARY KEY, counter INTEGER NOT NULL, expiration INTEGER NOT NULL, value BLOB NOT NULL) STRICT`)

	for _, c := range []struct {
		path  string
		is    error
		parts []string
	}{
		{"", nil, []string{"path is empty"}},
		{":memory:", nil, []string{"OpenMemory"}},
		{dir, nil, []string{dir, "is a folder"}},
		{at("no/such/store.db"), fs.ErrNotExist, []string{at("no/such")}},
		{at("text/store.db"), nil, []string{"is not a folder"}},
		{os.DevNull, nil, []string{"not a regular file"}},
		{at("nul\x00byte"), nil, []string{"invalid argument"}},
		{at("text"), kvstore.ErrCorrupt, []string{at("text"), "not a database"}},
		{at("foreign"), nil, []string{"another program", `table "customers"`}},
		{at("marked"), nil, []string{"another program", "0x7"}},
		{at("newer2"), nil, []string{"version 99 is newer"}},
		{at("odd"), nil, []string{`table "t"`, "columns", "key TEXT pk, value BLOB"}},
		{at("view"), nil, []string{`"t" is not a table`}},
		{at("utf16"), nil, []string{"UTF-16"}},
	} {
		t.Run(filepath.Base(c.path), func(t *testing.T) {
			before, _ := os.ReadFile(c.path)
			s, err := kvstore.Open(c.path, options())
			if err == nil {
				s.Close(watchdog(t))
				t.Fatal("opened")
			}
			wantText(t, "open", err, append(c.parts, "kvstore: open")...)
			if c.is != nil {
				wantErr(t, "open", err, c.is)
			}
			if after, _ := os.ReadFile(c.path); !bytes.Equal(before, after) {
				t.Error("the refused file was changed")
			}
		})
	}
	// A refusal leaves no lock behind.
	os.Remove(at("text"))
	openPath(t, at("text"), options())
}

// closedStore makes a store file and closes it.
func closedStore(t *testing.T, path string) {
	t.Helper()
	s, err := kvstore.Open(path, options())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(watchdog(t)); err != nil {
		t.Fatal(err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for text, change := range map[string]func(*kvstore.Options){
		"Tables is empty":   func(o *kvstore.Options) { o.Tables = nil },
		"Durability":        func(o *kvstore.Options) { o.Durability = 9 },
		"OnPanic":           func(o *kvstore.Options) { o.OnPanic = 9 },
		"same name":         func(o *kvstore.Options) { o.Tables = kvstore.Tables("Users", "uSERS") },
		"1 to 64":           func(o *kvstore.Options) { o.Tables = kvstore.Tables("") },
		"letters":           func(o *kvstore.Options) { o.Tables = kvstore.Tables("a b") },
		"not beginning":     func(o *kvstore.Options) { o.Tables = kvstore.Tables("1a") },
		"sqlite_":           func(o *kvstore.Options) { o.Tables = kvstore.Tables("SQLite_x") },
		"kv_":               func(o *kvstore.Options) { o.Tables = kvstore.Tables("kV_meta") },
		"have 1 to 64 char": func(o *kvstore.Options) { o.Tables = kvstore.Tables(strings.Repeat("a", 65)) },
	} {
		o := options()
		change(&o)
		path := filepath.Join(t.TempDir(), "store.db")
		_, err := kvstore.Open(path, o)
		wantText(t, text, err, text)
		_, err = kvstore.OpenMemory(o)
		wantText(t, text+" in memory", err, text)
		if names, _ := filepath.Glob(path + "*"); len(names) != 0 {
			t.Errorf("%s: left %v", text, names)
		}
	}
}

func TestTableNamesThatAreSQLWords(t *testing.T) {
	o := options()
	o.Tables = kvstore.Tables("order", "TABLE", "_", "select", strings.Repeat("a", 64))
	s := openFile(t, o)
	for _, table := range s.Tables() {
		if _, err := s.Add(watchdog(t), table, "k", nil); err != nil {
			t.Errorf("%s: %v", table, err)
		}
	}
}

// Apart from those that Clear needs, no statement may look at a whole table or
// sort: the store would slow down as it grows.
func TestStatementsUseTheIndexes(t *testing.T) {
	o := options()
	o.Tables = []kvstore.Table{{Name: "plain"}, {Name: "small", SmallValues: true}}
	s := openFile(t, o)
	plans, err := s.Plans(watchdog(t))
	if err != nil {
		t.Fatal(err)
	}
	searches := 0
	for statement, plan := range plans {
		searches += strings.Count(plan, "SEARCH")
		whole := strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP B-TREE")
		if whole && !strings.Contains(statement, "count(*)") {
			t.Errorf("%s\nis done by\n%s", statement, plan)
		}
	}
	if searches < 20 {
		t.Errorf("only %d searches in %d plans: the test looks at nothing", searches, len(plans))
	}
}

func TestDurabilityReachesTheEngine(t *testing.T) {
	for durability, want := range map[kvstore.Durability]int64{kvstore.Durable: 2, kvstore.OSBuffered: 1} {
		o := options()
		o.Durability = durability
		s := openFile(t, o)
		if got, err := s.Number(watchdog(t), "PRAGMA synchronous"); got != want || err != nil {
			t.Errorf("durability %d: synchronous is %d, %v; want %d", durability, got, err, want)
		}
	}
}

func TestTablesAcrossOpens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	ctx := watchdog(t)
	with := func(tables []kvstore.Table, use func(*kvstore.Store)) {
		t.Helper()
		o := options()
		o.Tables = tables
		s, err := kvstore.Open(path, o)
		if err != nil {
			t.Fatal(err)
		}
		use(s)
		if err := s.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	with(kvstore.Tables("Users"), func(s *kvstore.Store) {
		s.Add(ctx, "Users", "k", []byte("v"))
		s.Add(ctx, "Users", "gone", nil)
		s.Delete(ctx, "Users", "gone")
	})
	with(kvstore.Tables("new"), func(s *kvstore.Store) { // Users is not declared
		_, _, err := s.Get(ctx, "Users", "k")
		wantErr(t, "undeclared", err, kvstore.ErrNoTable)
		wantText(t, "undeclared", err, `"Users"`)
		if _, err := s.Add(ctx, "new", "k", nil); err != nil {
			t.Errorf("the new table: %v", err)
		}
	})
	with(kvstore.Tables("users"), func(s *kvstore.Store) { // the same table by another spelling
		if e, found, err := s.Get(ctx, "users", "k"); string(e.Value) != "v" || !found || err != nil {
			t.Errorf("got %+v %v %v", e, found, err)
		}
		if counter, err := s.Add(ctx, "users", "gone", nil); counter != 1 || err != nil {
			t.Errorf("counter %d, %v; want 1, above the deleted one", counter, err)
		}
	})
	with([]kvstore.Table{{Name: "small", SmallValues: true}, {Name: "Users", SmallValues: true}}, func(s *kvstore.Store) {
		for table, want := range map[string]int64{"small": 1, "Users": 0} {
			n, err := s.Number(ctx, fmt.Sprintf(
				`SELECT count(*) FROM pragma_table_list WHERE lower(name) = lower('%s') AND wr`, table))
			if n != want || err != nil {
				t.Errorf("%s without rowid: %d %v, want %d", table, n, err, want)
			}
		}
	})
}

func TestOpenThatChangesNothingWritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	closedStore(t, path)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	closedStore(t, path)
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file changed (%v)", err)
	}
}

func TestFileIsPrivateAndMarked(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permissions are not bits there")
	}
	path := filepath.Join(t.TempDir(), "store.db")
	closedStore(t, path)
	for _, name := range []string{path, path + ".lock"} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v; want it readable to its owner only", name, info.Mode(), err)
		}
	}
	if got := sqlNumber(t, path, "PRAGMA application_id"); got == 0 {
		t.Error("no application id")
	}
	if got := sqlNumber(t, path, "PRAGMA user_version"); got != 1 {
		t.Errorf("schema version %d, want 1", got)
	}
}

func TestLinksLeadToOneLock(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "store.db"), filepath.Join(dir, "link.db")
	openPath(t, path, options())
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	_, err := kvstore.Open(link, options())
	wantErr(t, "open by a link", err, kvstore.ErrLocked)
}

// A file as freetser makes it: no mark, no index, expiry in seconds.
func TestOpenConvertsFreetserFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	const columns = `(key TEXT PRIMARY KEY, counter INTEGER NOT NULL, expiration INTEGER NOT NULL, value BLOB NOT NULL) STRICT`
	runSQL(t, path, `
		CREATE TABLE users `+columns+`;
		CREATE TABLE sessions `+columns+`;
		CREATE TABLE "odd name" `+columns+`;
		INSERT INTO users VALUES ('alice', 3, 0, x'61'), ('for ever', 0, 9223372036854775807, x'');
		INSERT INTO sessions VALUES ('live', 1, 2000000000, x'62'), ('dead', 4, 1000000000, x'63');`)
	now := time.Unix(1_900_000_000, 0)
	o := kvstore.Options{
		Tables:     kvstore.Tables("users", "sessions", "fresh"),
		Clock:      func() time.Time { return now },
		SweepEvery: -1,
	}
	for range 2 { // converted once, not twice
		s, err := kvstore.Open(path, o)
		if err != nil {
			t.Fatal(err)
		}
		ctx := watchdog(t)
		if e, found, err := s.Get(ctx, "users", "alice"); string(e.Value) != "a" || e.Counter != 3 || !e.ExpiresAt.IsZero() || !found || err != nil {
			t.Errorf("alice: %+v %v %v", e, found, err)
		}
		if e, found, err := s.Get(ctx, "sessions", "live"); !e.ExpiresAt.Equal(time.Unix(2_000_000_000, 0)) || !found || err != nil {
			t.Errorf("live: %+v %v %v", e, found, err)
		}
		if _, found, err := s.Get(ctx, "sessions", "dead"); found || err != nil {
			t.Errorf("dead: %v %v", found, err)
		}
		if _, found, err := s.Get(ctx, "users", "for ever"); !found || err != nil {
			t.Errorf("for ever: %v %v", found, err)
		}
		if err := s.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	s := openPath(t, path, o)
	ctx := watchdog(t)
	if n, err := s.Sweep(ctx); n != 1 || err != nil {
		t.Errorf("swept %d, %v; want the dead session", n, err)
	}
	if counter, err := s.Add(ctx, "sessions", "dead", nil); counter != 5 || err != nil {
		t.Errorf("counter %d, %v; want 5, above the swept one", counter, err)
	}
}

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	ctx := watchdog(t)
	cmd := child(t, "hold", path)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stdin.Close()
		cmd.Wait()
	}()
	ready := make([]byte, len("open"))
	if _, err := stdout.Read(ready); err != nil {
		t.Fatal(err)
	}

	_, err = kvstore.Open(path, options())
	wantErr(t, "second process", err, kvstore.ErrLocked)
	wantText(t, "second process", err, path, fmt.Sprintf("process %d", cmd.Process.Pid), ".lock")
	var locked *kvstore.LockedError
	if !errors.As(err, &locked) || locked.PID != cmd.Process.Pid || filepath.Base(locked.Path) != "store.db" {
		t.Errorf("got %#v, want the path and process %d", locked, cmd.Process.Pid)
	}

	// A holder that is killed leaves no lock.
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	s := openPath(t, path, options())
	if got := mustGet(t, s, "held"); got != "v" {
		t.Errorf("got %s, want what the killed process had written", got)
	}

	// In the same process too.
	_, err = kvstore.Open(path, options())
	wantErr(t, "second Store", err, kvstore.ErrLocked)
	wantText(t, "second Store", err, fmt.Sprintf("process %d", os.Getpid()))
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	closedStore(t, path)
}
