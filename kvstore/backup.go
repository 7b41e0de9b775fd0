package kvstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// Backup writes the store as it is now, all that was answered before, to a
// file at path that opens as a store of its own. The file appears whole or not
// at all: it is written under another name in the same folder, flushed to disk
// and renamed, and takes the place of a file that was there. Mode 0600.
//
// It runs beside procedures and Views, on a connection of its own, and keeps
// the log from starting over as long as it runs. In memory the store stands
// still while its bytes are copied, and needs as much memory again. When ctx
// ends or Close is called, Backup ends too and leaves nothing behind; a process
// that is killed leaves a file .kvstore-backup-*.tmp.
//
// A path that leads to the store itself or to the log of another store is
// refused. Errors: [ErrFull], [ErrLocked] when a Store has the file at path
// open, those of package os and those of View.
func (s *Store) Backup(ctx context.Context, path string) error {
	err := s.backup(ctx, path)
	if err != nil && !errors.Is(err, ErrLocked) {
		return fmt.Errorf("kvstore: backup to %q: %w", path, &barePrefix{err})
	}
	return err
}

func (s *Store) backup(ctx context.Context, path string) error {
	if err := s.admit(ctx); err != nil {
		return err
	}
	target, err := resolve(path)
	if err != nil {
		return err
	}
	if s.owns(target) {
		return errors.New("is a file of the store itself")
	}
	lock, err := lockTarget(target)
	if err != nil {
		return err
	}
	defer lock.release()

	tmp, err := os.CreateTemp(filepath.Dir(target), ".kvstore-backup-*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed
	if s.path == "" {
		err = s.serialize(ctx, tmp)
	} else {
		err = s.beside(ctx, func(c *conn) error { return c.query("VACUUM INTO ?1", nil, tmp.Name()) })
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return diskFull(err)
	}
	if err := ctx.Err(); err != nil {
		return notRun(err)
	}
	if err := os.Rename(tmp.Name(), target); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(target))
}

// serialize writes the store in memory to f.
func (s *Store) serialize(ctx context.Context, f *os.File) error {
	image, err := View(ctx, s, func(tx *ReadTx) ([]byte, error) { return tx.c.db.Serialize("main") })
	if err != nil {
		return err
	}
	_, err = f.Write(image)
	return err
}

// owns reports whether target, as resolve gives it, is one of the store's
// files under whatever name.
func (s *Store) owns(target string) bool {
	if s.path == "" {
		return false
	}
	there, missing := os.Stat(target)
	for _, suffix := range []string{"", "-wal", "-shm", "-journal", ".lock"} {
		own := s.path + suffix
		if own == target {
			return true
		}
		if info, err := os.Stat(own); err == nil && missing == nil && os.SameFile(info, there) {
			return true
		}
	}
	return false
}

// lockTarget makes sure that a file which is about to be replaced is no store
// in use: with another file in its place, its log would be played into that
// one. Where no store was ever opened it makes no lock file and returns nil.
func lockTarget(target string) (*fileLock, error) {
	if _, err := os.Stat(lockPath(target)); errors.Is(err, fs.ErrNotExist) {
		return nil, checkNoLog(target)
	}
	lock, err := acquireLock(target)
	if err != nil {
		return nil, err
	}
	if err := checkNoLog(target); err != nil {
		lock.release()
		return nil, err
	}
	return lock, nil
}

func checkNoLog(target string) error {
	for _, suffix := range []string{"-wal", "-journal"} {
		if info, err := os.Stat(target + suffix); err == nil && info.Size() > 0 {
			return fmt.Errorf("%q is the log of a store that was not closed; open and close that one, or remove both",
				target+suffix)
		}
	}
	return nil
}

// diskFull is err, as ErrFull where the disk took no more.
func diskFull(err error) error {
	for _, no := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, no) {
			return fmt.Errorf("%w: %v", ErrFull, err)
		}
	}
	return err
}

// syncFolder makes a rename in the folder survive a power cut. Windows has no
// such call and needs none.
func syncFolder(name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
