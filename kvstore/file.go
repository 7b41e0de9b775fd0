package kvstore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"zombiezen.com/go/sqlite"
)

// resolve returns the one name under which the file at path is locked and
// opened: absolute, without symbolic links. It reports what cannot be a
// store's file.
func resolve(path string) (string, error) {
	switch path {
	case "":
		return "", errors.New("the path is empty")
	case ":memory:":
		return "", errors.New("not a file; use OpenMemory")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	folder := filepath.Dir(abs)
	if info, err := os.Stat(folder); err != nil {
		return "", fmt.Errorf("its folder: %w", err)
	} else if !info.IsDir() {
		return "", fmt.Errorf("%q is not a folder", folder)
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if folder, err = filepath.EvalSymlinks(folder); err != nil {
			return "", err
		}
		return filepath.Join(folder, filepath.Base(abs)), nil
	case err != nil:
		return "", err
	case info.IsDir():
		return "", errors.New("is a folder, not a file")
	case !info.Mode().IsRegular():
		return "", errors.New("is not a regular file")
	}
	return filepath.EvalSymlinks(abs)
}

// createFile creates the file if there is none and reports why it cannot be
// written: the engine would open it read-only instead and fail much later. It
// runs under the lock and before any connection is open, because closing the
// descriptor drops the locks this process has on the file.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// logSizeLimit is what is left of the write-ahead log's file when it starts
// over. // bytes
const logSizeLimit = 64 << 20

// configureFile checks that the file is a store, brings its schema up to date
// and applies what only a writer on a file needs. A file that is refused is
// left as it was.
func (c *conn) configureFile(d Durability, log *slog.Logger) error {
	version, err := checkFile(c)
	if err != nil {
		return err
	}
	mode := ""
	err = c.query("PRAGMA journal_mode = WAL", func(s *sqlite.Stmt) { mode = s.ColumnText(0) })
	if err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("no write-ahead log possible here (journal mode stays %q): is this a network file system?", mode)
	}
	synchronous := "FULL"
	if d == OSBuffered {
		synchronous = "NORMAL"
	}
	for _, sql := range []string{
		"PRAGMA synchronous = " + synchronous,
		"PRAGMA wal_autocheckpoint = 0", // see checkpoint.go
		fmt.Sprintf("PRAGMA journal_size_limit = %d", logSizeLimit),
	} {
		if err := c.exec(sql); err != nil {
			return err
		}
	}
	return migrate(c, version, log)
}
