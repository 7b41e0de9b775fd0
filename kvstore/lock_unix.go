//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package kvstore

import (
	"os"
	"syscall"
)

// tryLock opens the lock file and locks it, or returns errHeld. The lock
// belongs to the open file, not to the process, so a second Store in the same
// process is kept out too.
func tryLock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EINTR {
			break
		}
	}
	if err == nil {
		return f, nil
	}
	f.Close()
	if err == syscall.EWOULDBLOCK {
		return nil, errHeld
	}
	return nil, &os.PathError{Op: "flock", Path: name, Err: err}
}
