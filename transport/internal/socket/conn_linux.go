// Package socket is the stream socket that the Linux transports share: a listener
// that accepts with one system call, and a connection that can drive a
// transport.Pump by readiness.
//
// A connection begins as a bare descriptor. Pump tries the first request on it,
// and only a connection that has to wait is given to the runtime's poller: one
// that serves a single request never pays for that. From then on it is an
// os.File, which package os polls, closes and gives deadlines.
package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"postern/transport"
)

// A Conn is a connected stream socket. It is a net.Conn, with what
// *net.TCPConn and *net.UnixConn have beyond that and servers use, and a
// transport.Pumper.
type Conn struct {
	network string                  // "tcp" or "unix"
	file    atomic.Pointer[os.File] // nil until the poller knows the descriptor
	state   atomic.Uint32           // bits below
	fd      int                     // while file is nil; -1 once closed

	mu      sync.Mutex       // never held while anything blocks
	driving bool             // Pump is going on
	closed  bool             // Close was called; while driving, Pump closes
	timed   bool             // a read deadline was set
	lingers bool             // Close may take as long as SetLinger said
	moved   bool             // the read deadline was set by stir
	heard   events           // of the peer's end, so far
	gone    func(reset bool) // of Watch
	member  member           // of the hang-up set
	peer    rawAddr
	local   net.Addr // once asked for
	remote  net.Addr

	// Of Pump, used by the goroutine that drives.
	pump  transport.Pump
	slow  func(rest []byte) error
	next  transport.Next // why pumping ended
	fresh bool           // nothing was stepped yet
	over  bool           // Step was told that nothing more will come
	bare  bool           // file was nil when it began
	raw   syscall.RawConn
	ready func(fd uintptr) bool
}

var (
	_ net.Conn          = (*Conn)(nil)
	_ syscall.Conn      = (*Conn)(nil)
	_ io.ReaderFrom     = (*Conn)(nil)
	_ transport.Pumper  = (*Conn)(nil)
	_ transport.Watcher = (*Conn)(nil)
)

// FromFile returns the connection that f is, a connected stream socket in
// non-blocking mode, as os.NewFile makes it pollable. It owns f from here on.
func FromFile(f *os.File, network string) *Conn {
	c := &Conn{network: network, fd: -1}
	c.file.Store(f)
	return c
}

// polled returns the file, and makes it if need be.
func (c *Conn) polled() (*os.File, error) {
	if f := c.file.Load(); f != nil {
		return f, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.file.Load(); f != nil {
		return f, nil
	}
	if c.fd < 0 {
		return nil, net.ErrClosed
	}
	f := os.NewFile(uintptr(c.fd), c.network)
	c.file.Store(f)
	return f, nil
}

// Read implements net.Conn. It must not be called while Pump is going on: Pump is
// the one that reads.
func (c *Conn) Read(p []byte) (int, error) {
	f, err := c.polled()
	if err != nil {
		return 0, c.fault("read", err)
	}
	n, err := f.Read(p)
	if err != nil && err != io.EOF {
		err = c.fault("read", err)
	}
	return n, err
}

// Write implements net.Conn. It may be called while Pump is going on, from within
// Step or from another goroutine.
func (c *Conn) Write(p []byte) (int, error) {
	f, err := c.polled()
	if err != nil {
		return 0, c.fault("write", err)
	}
	n, err := f.Write(p)
	if err != nil {
		err = c.fault("write", err)
	}
	return n, err
}

// Close closes the connection: reads and writes that go on fail. While Pump goes
// on it cuts the connection, and Pump closes it: the driver may be in the middle
// of a handler, and nobody should wait for that here.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.fault("close", net.ErrClosed)
	}
	c.closed = true
	if !c.driving {
		c.mu.Unlock()
		return c.release()
	}
	c.withFD(func(fd int) { _ = syscall.Shutdown(fd, syscall.SHUT_RDWR) }) // the peer may be gone
	c.stir(woken)
	c.mu.Unlock()
	return nil
}

// release closes the descriptor. Nobody drives any more.
func (c *Conn) release() error {
	c.mu.Lock()
	if c.member != (member{}) {
		_ = c.withFD(func(fd int) { hangups.leave(c.member, fd) })
		c.member = member{}
	}
	f, fd := c.file.Load(), c.fd
	c.fd = -1
	c.mu.Unlock()
	switch {
	case f != nil:
		return c.fault("close", f.Close())
	case c.lingers:
		return c.fault("close", os.NewSyscallError("close", syscall.Close(fd)))
	}
	return c.fault("close", shut(fd))
}

// withFD calls f with the descriptor. The lock is held, so it stays open.
func (c *Conn) withFD(f func(fd int)) error {
	if file := c.file.Load(); file != nil {
		return control(file, f)
	}
	f(c.fd)
	return nil
}

// do calls a function that works on the descriptor, and names its fault.
func (c *Conn) do(op string, f func(fd int) error) error {
	var err error
	c.mu.Lock()
	if c.closed {
		err = net.ErrClosed
	} else if failed := c.withFD(func(fd int) { err = f(fd) }); failed != nil {
		err = failed
	}
	c.mu.Unlock()
	return c.fault(op, err)
}

// Unread reports whether the peer has sent bytes that nobody has read. Close would
// then reset the connection, and could destroy what is on its way to the peer.
func (c *Conn) Unread() (yes bool) {
	_ = c.do("peek", func(fd int) error { // of a closed one there is nothing to read
		n, errno := peek(uintptr(fd))
		yes = errno == 0 && n > 0
		return nil
	})
	return yes
}

// CloseWrite ends this direction: the peer reads an end (shutdown(2), SHUT_WR).
func (c *Conn) CloseWrite() error {
	return c.do("close", func(fd int) error { return os.NewSyscallError("shutdown", syscall.Shutdown(fd, syscall.SHUT_WR)) })
}

// CloseRead ends the other direction: what the peer sends is not read any more.
func (c *Conn) CloseRead() error {
	return c.do("close", func(fd int) error { return os.NewSyscallError("shutdown", syscall.Shutdown(fd, syscall.SHUT_RD)) })
}

// SetLinger sets what Close does with data that is not acknowledged yet
// (SO_LINGER): negative, the default, sends it in the background; 0 discards it
// and resets the connection; otherwise it is sent for so many seconds.
func (c *Conn) SetLinger(sec int) error {
	l := syscall.Linger{Onoff: 1, Linger: int32(sec)}
	if sec < 0 {
		l = syscall.Linger{}
	}
	return c.do("set", func(fd int) error {
		c.lingers = sec > 0
		return os.NewSyscallError("setsockopt", syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &l))
	})
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.deadline(t, true, (*os.File).SetDeadline)
}

// SetReadDeadline implements net.Conn. Pump takes it away.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.deadline(t, true, (*os.File).SetReadDeadline)
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.deadline(t, false, (*os.File).SetWriteDeadline)
}

func (c *Conn) deadline(t time.Time, reading bool, set func(*os.File, time.Time) error) error {
	f, err := c.polled()
	if err != nil {
		return c.fault("set", err)
	}
	if reading {
		c.mu.Lock()
		c.timed = c.timed || !t.IsZero()
		c.mu.Unlock()
	}
	return c.fault("set", set(f, t))
}

// SyscallConn gives access to the descriptor, for options that this type does not
// know.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	f, err := c.polled()
	if err != nil {
		return nil, c.fault("raw-control", err)
	}
	rc, err := f.SyscallConn()
	if err != nil {
		return nil, c.fault("raw-control", err)
	}
	return raw{rc, c.fault}, nil
}

// LocalAddr implements net.Conn. The kernel is asked when it is called first: after
// Close it is too late.
func (c *Conn) LocalAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.local == nil {
		c.local = c.ask(syscall.Getsockname)
	}
	return c.local
}

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.remote == nil {
		if c.remote = c.peer.addr(); c.remote == nil {
			c.remote = c.ask(syscall.Getpeername)
		}
	}
	return c.remote
}

// ask asks the kernel for an address; what it does not know is an empty one.
func (c *Conn) ask(name func(fd int) (syscall.Sockaddr, error)) net.Addr {
	var sa syscall.Sockaddr
	_ = c.withFD(func(fd int) { sa, _ = name(fd) })
	return address(c.network, sa)
}

// fault names where an error is from, as package net does; nil stays nil.
func (c *Conn) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	c.mu.Lock()
	if c.closed && !os.IsTimeout(err) {
		err = net.ErrClosed
	}
	c.mu.Unlock()
	return &net.OpError{Op: op, Net: c.network, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: plain(op, err)}
}

// plain takes from an error what package os has put around it.
func plain(op string, err error) error {
	if path, ok := err.(*os.PathError); ok {
		err = path.Err
		if errno, ok := err.(syscall.Errno); ok {
			err = os.NewSyscallError(op, errno)
		}
	}
	if errors.Is(err, os.ErrClosed) {
		return net.ErrClosed
	}
	return err
}
