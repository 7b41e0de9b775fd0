//go:build unix && !aix && !solaris

package unix

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"syscall"
)

// refused is the answer of a socket that nobody listens on.
const refused = syscall.ECONNREFUSED

// listen makes the socket step by step, because package net leaves nothing to
// do between bind and listen. The name is nil when there is no file.
func listen(c Config) (listener, *name, error) {
	socket, err := newSocket(c.Path)
	if err != nil {
		return nil, nil, err
	}
	defer socket.Close() // the listener has a descriptor of its own
	if abstract(c.Path) {
		ln, err := bind(socket, c, nil)
		return ln, nil, err
	}

	n, err := openName(c.Path)
	if err != nil {
		return nil, nil, err
	}
	ln, err := listenFile(socket, c, n)
	if err != nil {
		n.dir.Close()
		return nil, nil, err
	}
	return ln, n, nil
}

// listenFile is listen for a file, all of it with the directory locked.
func listenFile(socket *os.File, c Config, n *name) (listener, error) {
	unlock, err := n.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := n.clear(); err != nil {
		return nil, err
	}
	ln, err := bind(socket, c, n)
	if err != nil {
		return nil, errors.Join(err, n.removeMade())
	}
	return ln, nil
}

// bind gives the socket its name, the file its mode and owner, and listens.
func bind(socket *os.File, c Config, n *name) (listener, error) {
	fd := int(socket.Fd())
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: c.Path}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	if n != nil {
		if err := n.own(c); err != nil {
			return nil, err
		}
	}
	backlog := min(c.Backlog, math.MaxInt32)
	if backlog <= 0 {
		backlog = math.MaxInt32 // the system puts its own limit in its place
	}
	if err := syscall.Listen(fd, backlog); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	return accepting(socket, c.Path)
}

// own gives the socket that was just bound its mode and owner. The directory is
// locked.
func (n *name) own(c Config) error {
	info, err := n.dir.Lstat(n.base)
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("somebody put another file in the socket's place: %v", info.Mode())
	}
	n.made = info
	mode := c.Mode
	if mode == 0 {
		mode = 0o600
	}
	if err := n.dir.Chmod(n.base, mode); err != nil {
		return err
	}
	if c.UID <= 0 && c.GID <= 0 {
		return nil
	}
	return n.dir.Lchown(n.base, orUnchanged(c.UID), orUnchanged(c.GID))
}

// orUnchanged returns id, or the -1 that leaves an owner as it is.
func orUnchanged(id int) int {
	if id <= 0 {
		return -1
	}
	return id
}

// newSocket returns a stream socket that no child process inherits.
func newSocket(path string) (*os.File, error) {
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// tryLock takes the lock of an open directory, and reports false when somebody
// else has it. Closing the directory gives it back. Where the file system has
// no such lock it does without: the race that it is for is rarer.
func tryLock(dir *os.File) bool {
	err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	return !errors.Is(err, syscall.EWOULDBLOCK)
}
