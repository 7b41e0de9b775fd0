package transport

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The wait after a failed accept: it starts at minWait, doubles with every
// failure in a row, and stays at maxWait. A process without free descriptors
// wakes up a few times a second instead of spinning, and a listener whose
// trouble has passed answers again within the second.
const (
	minWait = 5 * time.Millisecond
	maxWait = time.Second
)

// A Listener is a net.Listener whose Accept outlasts the errors that pass: no
// descriptor or memory left (EMFILE, ENFILE, ENOBUFS, ENOMEM), a connection
// that was gone before it was accepted (ECONNABORTED), trouble of the network
// behind it. It counts them, waits and tries again: 5 ms after the first
// failure, doubling to 1 s, from the start again after a success. What will not
// pass is returned: the listener was closed, its deadline came, or its
// descriptor is no listening socket any more.
//
// All methods may be called at the same time.
type Listener struct {
	inner  net.Listener
	closed chan struct{} // closed by the first Close; ends the waiting
	once   sync.Once     // guards closed
	errors atomic.Uint64
}

// NewListener returns a Listener that accepts from inner and closes it. The
// caller leaves inner alone from here on.
func NewListener(inner net.Listener) *Listener {
	return &Listener{inner: inner, closed: make(chan struct{})}
}

// Accept waits for the next connection and returns it as the inner listener
// made it. After Close its error wraps net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	for wait := minWait; ; wait = min(2*wait, maxWait) {
		conn, err := l.inner.Accept()
		if err == nil || !passes(err) {
			return conn, err
		}
		l.errors.Add(1)
		if !l.wait(wait) {
			addr := l.Addr()
			return nil, &net.OpError{Op: "accept", Net: addr.Network(), Addr: addr, Err: net.ErrClosed}
		}
	}
}

// Close closes the inner listener and ends every Accept, also one that waits
// after an error. Connections already accepted live on. What a second Close
// returns is the inner listener's business; those of this module return an
// error that wraps net.ErrClosed.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.inner.Close()
}

// Addr returns the inner listener's address.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// AcceptErrors returns how many accepts have failed and were tried again, since
// the listener was made.
func (l *Listener) AcceptErrors() uint64 { return l.errors.Load() }

// SetDeadline makes an Accept that would wait past t fail with
// os.ErrDeadlineExceeded; the zero time takes that back. It fails with
// os.ErrNoDeadline if the inner listener has no deadlines.
func (l *Listener) SetDeadline(t time.Time) error {
	if d, ok := l.inner.(interface{ SetDeadline(time.Time) error }); ok {
		return d.SetDeadline(t)
	}
	return os.ErrNoDeadline
}

// wait lets d pass, and reports whether the listener is still open.
func (l *Listener) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.closed:
		return false
	case <-timer.C:
		return true
	}
}

// passes reports whether accepting may succeed later, after err. accept(2) also
// reports errors of the network and of the one connection it would have
// returned, so a system error passes unless it speaks of the listener itself.
func passes(err error) bool {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno != syscall.EBADF && errno != syscall.EINVAL && errno != syscall.ENOTSOCK
	}
	var temporary interface{ Temporary() bool }
	return errors.As(err, &temporary) && temporary.Temporary()
}
