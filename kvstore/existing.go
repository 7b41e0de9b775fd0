package kvstore

import (
	"errors"
	"fmt"
	"os"

	"zombiezen.com/go/sqlite"
)

// OpenExisting opens the store in the file at path with the tables that the
// file has, which [Store.Tables] then names, in the order of their names. It is
// for tools that look into any store: it creates neither file nor tables, and
// Options.Tables and Options.Migrations must be empty. A program that has
// tables of its own uses [Open].
//
// Errors are those of Open, and fs.ErrNotExist when there is no file. A file
// made by freetser is converted here too.
func OpenExisting(path string, o Options) (*Store, error) {
	if len(o.Tables) > 0 || len(o.Migrations) > 0 {
		return nil, errors.New("kvstore: OpenExisting takes what the file has: Options.Tables and Options.Migrations must be empty")
	}
	if _, err := os.Stat(path); err != nil { // before a lock file is made beside nothing
		return nil, fmt.Errorf("kvstore: open %q: %w", path, err)
	}
	o.existing = true
	return Open(path, o)
}

// prepareFile makes sure, under the lock, that there is a file to open and that
// the tables to open are known.
func (s *Store) prepareFile() error {
	if !s.opt.existing {
		return createFile(s.path)
	}
	f, err := os.OpenFile(s.path, os.O_RDWR, 0) // see createFile
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	c, err := openConn(s.path, sqlite.OpenReadWrite, 0, readerCache)
	if err != nil {
		return err
	}
	defer c.close()
	return s.declareFound(c)
}

// declareFound declares the tables of the file that a program could declare.
func (s *Store) declareFound(c *conn) error {
	version, err := checkFile(c)
	if err != nil {
		return err
	}
	var names []string
	err = c.query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
		func(stmt *sqlite.Stmt) { names = append(names, stmt.ColumnText(0)) })
	if err != nil {
		return err
	}
	expiry := "expires_at"
	if version == 0 {
		expiry = "expiration" // not converted yet
	}
	for _, name := range names {
		if checkTableName(name) != nil || checkColumns(c, name, expiry) != nil {
			continue
		}
		t := newTable(Table{Name: name}, len(s.order))
		s.order = append(s.order, t)
		s.tables[name] = t
	}
	if version == 0 && len(s.order) == 0 {
		return errors.New("is empty") // Open would make a store of it
	}
	return nil
}
