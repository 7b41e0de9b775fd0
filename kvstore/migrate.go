package kvstore

import (
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"zombiezen.com/go/sqlite"
)

//go:embed schema.sql
var schema string

// schemaParts splits schema.sql into what is run once and what is run for each
// table.
func schemaParts() (once, eachTable string) {
	i := strings.Index(schema, "-- EACH TABLE")
	return schema[:i], schema[i:]
}

const (
	applicationID = 0x506f4b56 // "PoKV"
	schemaVersion = 1
)

// migrations[n] takes a file from version n to n+1, inside a transaction.
var migrations = [schemaVersion]func(*conn) error{
	0: fromFreetser,
}

// checkFile returns the schema version of the file, or says why it is not
// ours. It changes nothing.
func checkFile(c *conn) (version int, err error) {
	app, err := c.number("PRAGMA application_id")
	if err != nil {
		return 0, err
	}
	v, err := c.number("PRAGMA user_version")
	if err != nil {
		return 0, err
	}
	encoding := ""
	err = c.query("PRAGMA encoding", func(s *sqlite.Stmt) { encoding = s.ColumnText(0) })
	if err != nil {
		return 0, err
	}
	switch {
	case app == 0 && v == 0:
		if _, err := freetserTables(c); err != nil {
			return 0, err
		}
	case app != applicationID || v < 1:
		return 0, fmt.Errorf("a database of another program (application id %#x, version %d)", app, v)
	case v > schemaVersion:
		return 0, fmt.Errorf("schema version %d is newer than this program, which knows versions up to %d", v, schemaVersion)
	}
	if encoding != "UTF-8" {
		return 0, fmt.Errorf("text encoding %s: keys need UTF-8 to be kept byte for byte", encoding)
	}
	return int(v), nil
}

// migrate brings a file from version to schemaVersion in one transaction.
func migrate(c *conn, version int, log *slog.Logger) error {
	if version == schemaVersion {
		return nil
	}
	return c.atomically(func() error {
		for _, step := range migrations[version:] {
			if err := step(c); err != nil {
				return err
			}
		}
		if err := mark(c); err != nil {
			return err
		}
		log.Info("kvstore: schema brought up to date", "from", version, "to", schemaVersion)
		return nil
	})
}

// mark makes the file one of ours, up to date.
func mark(c *conn) error {
	if err := c.exec(fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
		return err
	}
	return c.exec(fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
}

// fromFreetser makes version 1 out of an empty file or of one written by the
// Python package freetser, whose tables have the same columns but an
// expiration in seconds, no index and no kv_meta.
func fromFreetser(c *conn) error {
	names, err := freetserTables(c)
	if err != nil {
		return err
	}
	once, _ := schemaParts()
	if err := c.script(once); err != nil {
		return err
	}
	for _, name := range names {
		// A second is the finest freetser knows; min keeps "for ever" from
		// overflowing.
		script := strings.NewReplacer("{table}", quote(name), "{index}", quote("kv_exp_"+name)).Replace(`
			ALTER TABLE {table} RENAME COLUMN expiration TO expires_at;
			UPDATE {table} SET expires_at = min(expires_at, 9223372036854775) * 1000 WHERE expires_at > 0;
			CREATE INDEX {index} ON {table} (expires_at) WHERE expires_at > 0;`)
		if err := c.script(script); err != nil {
			return fmt.Errorf("table %q: %w", name, &barePrefix{err})
		}
	}
	return nil
}

// freetserTables lists the tables of a file that has no mark of ours, and
// fails if anything in it was not made by freetser.
func freetserTables(c *conn) ([]string, error) {
	var names []string
	var foreign error
	err := c.query(`SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`,
		func(s *sqlite.Stmt) {
			kind, name := s.ColumnText(0), s.ColumnText(1)
			if kind != "table" || strings.HasPrefix(strings.ToLower(name), "kv_") {
				foreign = fmt.Errorf("a database of another program (it has the %s %q)", kind, name)
			}
			names = append(names, name)
		})
	if err == nil {
		err = foreign
	}
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := checkColumns(c, name, "expiration"); err != nil {
			return nil, fmt.Errorf("a database of another program: %w", err)
		}
	}
	return names, nil
}

// checkColumns reports how the table differs from one of ours, where expiry is
// the name of its third column.
func checkColumns(c *conn, name, expiry string) error {
	want := "key TEXT pk, counter INTEGER, " + expiry + " INTEGER, value BLOB"
	var columns []string
	err := c.query(`SELECT name, type, pk FROM pragma_table_info(?1)`, func(s *sqlite.Stmt) {
		column := s.ColumnText(0) + " " + s.ColumnText(1)
		if s.ColumnInt(2) > 0 {
			column += " pk"
		}
		columns = append(columns, column)
	}, name)
	if err != nil {
		return err
	}
	if got := strings.Join(columns, ", "); got != want {
		return fmt.Errorf("table %q has the columns (%s), not (%s)", name, got, want)
	}
	return nil
}

// createTables creates the declared tables that are missing, and checks those
// that are there. In memory it makes the whole schema.
func createTables(c *conn, tables []*table) error {
	present := map[string]string{} // kind of each name in lower case, as the engine compares them
	err := c.query(`SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view')`, func(s *sqlite.Stmt) {
		present[strings.ToLower(s.ColumnText(0))] = s.ColumnText(1)
	})
	if err != nil {
		return err
	}
	var missing []*table
	for _, t := range tables {
		switch present[strings.ToLower(t.Name)] {
		case "":
			missing = append(missing, t)
		case "table":
			if err := checkColumns(c, t.Name, "expires_at"); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%q is not a table in this file", t.Name)
		}
	}
	once, eachTable := schemaParts()
	if present["kv_meta"] != "" {
		once = ""
	}
	if once == "" && len(missing) == 0 {
		return nil // an open that changes nothing writes nothing
	}
	return c.atomically(func() error {
		if once != "" { // in memory: Backup makes a file of it
			if err := errors.Join(c.script(once), mark(c)); err != nil {
				return err
			}
		}
		for _, t := range missing {
			form := "STRICT"
			if t.SmallValues {
				form = "STRICT, WITHOUT ROWID"
			}
			script := strings.NewReplacer(
				"{table}", quote(t.Name), "{form}", form, "{index}", quote("kv_exp_"+t.Name),
			).Replace(eachTable)
			if err := c.script(script); err != nil {
				return fmt.Errorf("table %q: %w", t.Name, &barePrefix{err})
			}
		}
		return nil
	})
}

// atomically runs fn in a transaction of its own.
func (c *conn) atomically(fn func() error) error {
	if err := run(c.begin); err != nil {
		return engineError("begin", err)
	}
	err := fn()
	if err == nil {
		if err = run(c.commit); err != nil {
			err = engineError("commit", err)
		}
	}
	if err != nil && c.inTransaction() {
		run(c.rollback) // the connection is closed next, whatever this says
	}
	return err
}
