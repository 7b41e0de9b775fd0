package unix

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// maxPath is the longest path that fits in sun_path with the byte that ends it.
const maxPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// abstract reports whether path is an abstract name and not a file.
func abstract(path string) bool { return strings.HasPrefix(path, "@") }

// check reports what is wrong with path, before the system says no more than
// "invalid argument".
func check(path string) error {
	length := len(path)
	if abstract(path) {
		if runtime.GOOS != "linux" {
			return fmt.Errorf("abstract name: %w", errors.ErrUnsupported)
		}
		length-- // the "@" stands for the byte that a path has at its end
	}
	switch {
	case path == "":
		return errors.New("no path")
	case length == 0:
		return errors.New("nothing after the @ of an abstract name")
	case length > maxPath:
		return fmt.Errorf("%d bytes are too long for a socket's path, %d fit", length, maxPath)
	case strings.ContainsRune(path, 0):
		return errors.New("NUL in the path")
	case os.IsPathSeparator(path[len(path)-1]):
		return errors.New("a directory, not a file")
	}
	return nil
}

// A name is the path of a socket: an entry in a directory that stays open, so
// that neither a change of the working directory nor a move of the directory
// leads Close elsewhere.
type name struct {
	path string // as the caller gave it
	dir  *os.Root
	base string
	made fs.FileInfo // the socket that Listen made there; nil before
}

// openName opens the directory of path. The caller closes dir.
func openName(path string) (*name, error) {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return &name{path: path, dir: dir, base: filepath.Base(path)}, nil
}

// lockWait is how long another server may hold the directory. Listen and Close
// take well under a millisecond with it, but whoever can read the directory can
// lock it for ever.
const lockWait = time.Second

// lock takes the directory's lock, until unlock is called.
func (n *name) lock() (unlock func(), err error) {
	f, err := n.dir.Open(".")
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(lockWait); !tryLock(f); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			f.Close()
			return nil, fmt.Errorf("somebody has held the lock of %s for %v", filepath.Dir(n.path), lockWait)
		}
	}
	return func() { f.Close() }, nil
}

// clear makes way for a new socket: it removes a socket that nobody answers on.
// The directory is locked.
func (n *name) clear() error {
	info, err := n.dir.Lstat(n.base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%w and is no socket but %v", fs.ErrExist, info.Mode())
	}
	var d net.Dialer
	conn, err := d.DialContext(context.Background(), "unix", n.path)
	switch {
	case err == nil:
		conn.Close()
		return fmt.Errorf("%w: a server answers there", syscall.EADDRINUSE)
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("%w: a server is there with its backlog full", syscall.EADDRINUSE)
	case errors.Is(err, syscall.EPROTOTYPE):
		return fmt.Errorf("%w: a socket of another type is there", syscall.EADDRINUSE)
	case errors.Is(err, fs.ErrNotExist):
		return nil // its server has just removed it
	case !errors.Is(err, refused):
		return fmt.Errorf("a socket is there, and whether it is live is not to be known: %w", err)
	}
	return n.dir.Remove(n.base)
}

// remove removes the socket that Listen made, unless something else is at the
// path now, and closes the directory. The socket is still open.
func (n *name) remove() error {
	defer n.dir.Close()
	unlock, err := n.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return n.removeMade()
}

// removeMade is remove with the directory locked.
func (n *name) removeMade() error {
	info, err := n.dir.Lstat(n.base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if n.made == nil || !os.SameFile(n.made, info) {
		return nil
	}
	return n.dir.Remove(n.base)
}
