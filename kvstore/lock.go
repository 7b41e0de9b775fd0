package kvstore

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// LockedError says who has the file open. It is [ErrLocked] to errors.Is.
type LockedError struct {
	Path string // the store's file, absolute
	PID  int    // of the process that holds it, as written by itself; 0: not known
}

// Error names the file, the holder's process id and the lock file.
func (e *LockedError) Error() string {
	holder := "another process"
	if e.PID != 0 {
		holder = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("kvstore: %q is in use by %s (lock file %q)", e.Path, holder, lockPath(e.Path))
}

// Is reports whether target is [ErrLocked].
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

func lockPath(path string) string { return path + ".lock" }

// errHeld is what tryLock gives for a lock that somebody has.
var errHeld = errors.New("lock is held")

// fileLock is a held lock on a store's file. The kernel drops it when the
// process ends. The file itself stays: removing it would let one process lock
// the old file and another a new one.
type fileLock struct{ f *os.File }

// acquireLock locks the store at path or says who has it.
func acquireLock(path string) (*fileLock, error) {
	f, err := tryLock(lockPath(path))
	if errors.Is(err, errHeld) {
		return nil, &LockedError{Path: path, PID: holder(path)}
	}
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	// Only a help for humans; the lock holds without it.
	if f.Truncate(0) == nil {
		f.WriteAt(strconv.AppendInt(nil, int64(os.Getpid()), 10), 0)
	}
	return &fileLock{f}, nil
}

// holder reads the process id in the lock file, or 0: its owner may not have
// come to write it yet.
func holder(path string) int {
	text, err := os.ReadFile(lockPath(path))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

// release gives the lock back. A nil l holds none.
func (l *fileLock) release() error {
	if l == nil {
		return nil
	}
	l.f.Truncate(0) // the process id in it would soon be wrong
	return l.f.Close()
}
