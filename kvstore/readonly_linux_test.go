package kvstore_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"postern/kvstore"
)

// As root nothing is read-only, so the test looks at the files as somebody
// else: a thread can have a file system identity of its own.
func TestOpenReadOnlyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "store.db")
	closedStore(t, path)
	for name, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o777, path: 0o444, path + ".lock": 0o666} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	err := asNobody(func() error {
		_, err := kvstore.Open(path, options())
		return err
	})
	wantErr(t, "read-only file", err, fs.ErrPermission)
	wantText(t, "read-only file", err, path, "permission denied")
}

// asNobody runs fn without root's rights to files, if the test has them.
func asNobody(fn func() error) error {
	done := make(chan error)
	go func() {
		if os.Getuid() == 0 {
			runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
			if err := syscall.Setfsuid(65534); err != nil {
				done <- err
				return
			}
		}
		done <- fn()
	}()
	return <-done
}
