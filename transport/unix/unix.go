// Package unix listens and dials over Unix stream sockets: paths, permissions
// and stale files, and who is at the other end.
//
// A socket file is never reachable with other permissions than asked for. The
// umask would be the obvious way, but it belongs to the whole process and would
// strike files that other goroutines create; a private directory and a rename
// would make the socket's own name, which both ends see as its address, another
// one. So Listen binds, sets owner and mode, and only then listens: until that
// last step the kernel refuses every connection.
//
// A server that was killed leaves its file behind. Listen removes such a file
// when it is a socket that nobody answers on, and nothing else: a live socket
// or any other kind of file is an error. While Listen and Close look at the
// path and change it they hold an flock(2) lock on its directory, so that two
// servers that start at once never take one another's new socket for a stale
// one. The lock is among users of this package; others do not see it. On macOS
// and the BSDs the kernel says the same of a server whose backlog is full and of
// one that is gone; there a socket that overflows at that moment is taken for
// stale.
package unix

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"postern/transport"
)

// A Config says where a socket is and whose it is. Only Path is needed.
type Config struct {
	// Path is the socket's file, in a directory that this process may read and
	// write, and short: 107 bytes at most on Linux, 103 on macOS. On Linux a path that begins with "@" is an
	// abstract name, up to 107 bytes after the "@": no file, nothing to clean up,
	// and no permissions either. Everybody in the network namespace can connect
	// to it; PeerCred tells who did.
	Path string

	// Mode is the permissions of the file, of which writing is what connecting
	// needs. Zero: 0600, this user only, whatever the umask. Windows has none.
	Mode fs.FileMode

	// UID and GID are the numbers of the user and the group that get the file.
	// Zero or negative: as the system made it, which is this process's (root's
	// own numbers included, so 0 needs no other spelling). Another user takes
	// root's rights, another group membership in it. Windows has none.
	UID, GID int

	// Backlog is how many connections may wait for Accept. Zero or negative: as
	// many as the system allows (on Linux net.core.somaxconn, usually 4096), which
	// also caps what is asked for. Not on Windows.
	Backlog int
}

// A Listener accepts connections on a Unix socket. Its Accept waits out the
// errors that pass and counts them: see transport.Listener, whose methods it
// has. A connection of it is a net.Conn that has CloseWrite, CloseRead,
// SyscallConn and ReadFrom as *net.UnixConn has them; on Linux it is a
// transport.Pumper and a transport.Watcher.
type Listener struct {
	*transport.Listener
	socket listener
	name   *name       // nil when there is no file of ours to remove
	once   sync.Once   // guards the removal
	keep   atomic.Bool // the file is another's by now
}

// listener is what a platform's listening socket can do.
type listener interface {
	net.Listener
	syscall.Conn
}

// Listen makes the socket and starts to listen: when it returns, clients can
// connect. The caller closes the Listener, which removes the file. An address
// that a live server has is an error wrapping syscall.EADDRINUSE, a file of
// another kind at the path one wrapping fs.ErrExist.
func Listen(c Config) (*Listener, error) {
	err := check(c.Path)
	if err == nil && c.Mode&^fs.ModePerm != 0 {
		err = fmt.Errorf("mode %v has more than permissions", c.Mode)
	}
	if err == nil && abstract(c.Path) && (c.Mode != 0 || c.UID > 0 || c.GID > 0) {
		err = errors.New("an abstract name has no mode and no owner")
	}
	if err != nil {
		return nil, fmt.Errorf("unix: listen %q: %w", c.Path, err)
	}
	socket, name, err := listen(c)
	if err != nil {
		return nil, fmt.Errorf("unix: listen %q: %w", c.Path, err)
	}
	return &Listener{Listener: transport.NewListener(socket), socket: socket, name: name}, nil
}

// FromFile returns a Listener on a Unix socket that listens already, as a service
// manager or an older process of this program passes it on. Its path, mode and owner
// are as they are, and Close leaves the file where it is: whoever made it may pass it
// on again. The caller closes f, which is not used any more. Unix only: elsewhere the
// error wraps errors.ErrUnsupported.
func FromFile(f *os.File) (*Listener, error) {
	socket, err := fromFile(f)
	if err != nil {
		return nil, fmt.Errorf("unix: %s: %w", f.Name(), err)
	}
	return &Listener{Listener: transport.NewListener(socket), socket: socket}, nil
}

// KeepFile makes Close leave the socket's file where it is: another process has the
// socket too, and goes on listening.
func (l *Listener) KeepFile() {
	l.keep.Store(true)
	if u, ok := l.socket.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
}

// Close removes the socket's file, if it is still the one that Listen made and
// KeepFile was not called, and closes the listener. Connections already accepted live on. An error of a
// first Close says that the file is still there, where the next Listen takes
// it for stale; the listener is closed in any case.
func (l *Listener) Close() error {
	var err error
	l.once.Do(func() {
		switch {
		case l.name == nil:
		case l.keep.Load():
			err = l.name.dir.Close()
		default:
			err = l.name.remove()
		}
	})
	// In this order: the open socket keeps the file's identity from being used
	// again for another.
	if closeErr := l.Listener.Close(); closeErr != nil {
		return closeErr
	}
	if err != nil {
		return fmt.Errorf("unix: close %q: %w", l.Addr(), err)
	}
	return nil
}

// SyscallConn gives access to the listening socket, for options that Config
// does not know.
func (l *Listener) SyscallConn() (syscall.RawConn, error) { return l.socket.SyscallConn() }

// The wait between attempts to connect to a socket whose backlog is full: it
// doubles from the first to the last.
const (
	minRetry = time.Millisecond
	maxRetry = 50 * time.Millisecond
)

// Dial connects to the socket at path, a file or on Linux an abstract name as
// in Config. While the server's backlog is full it tries again until ctx ends,
// as a blocking connect(2) would wait. The error then wraps that of ctx. The
// connection is as Listener describes it; the caller closes it.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	if err := check(path); err != nil {
		return nil, fmt.Errorf("unix: dial %q: %w", path, err)
	}
	var d net.Dialer
	for wait := minRetry; ; wait = min(2*wait, maxRetry) {
		conn, err := d.DialContext(ctx, "unix", path)
		if err == nil {
			return conn, nil
		}
		if !errors.Is(err, syscall.EAGAIN) {
			return nil, fmt.Errorf("unix: %w", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("unix: dial %q: %w while the backlog is full", path, ctx.Err())
		}
	}
}
