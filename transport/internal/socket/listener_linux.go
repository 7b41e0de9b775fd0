package socket

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Listener accepts with one system call a connection: what a connection should
// have of options it inherits, and what it may never need (an entry in the poller,
// addresses) is left for later.
type Listener struct {
	file    *os.File
	raw     syscall.RawConn
	addr    net.Addr
	network string
	closed  atomic.Bool

	mu       sync.Mutex // of what follows: one accepts at a time
	accepted int
	peer     rawAddr
	errno    syscall.Errno
	ready    func(fd uintptr) bool // acceptFrom
}

// Listen returns a Listener on f, a listening socket that is pollable, whose
// address is addr. It owns f.
func Listen(f *os.File, addr net.Addr) (*Listener, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	if err = hangups.retain(); err != nil {
		return nil, err
	}
	l := &Listener{file: f, raw: raw, addr: addr, network: addr.Network()}
	l.ready = l.acceptFrom
	return l, nil
}

// Accept implements net.Listener; the connection is a *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.raw.Read(l.ready)
	if err == nil && l.errno != 0 {
		err = os.NewSyscallError("accept4", l.errno)
	}
	if err != nil {
		return nil, l.fault("accept", err)
	}
	return &Conn{network: l.network, fd: l.accepted, peer: l.peer}, nil
}

// acceptFrom accepts the next connection, and reports whether there was one, or an
// error.
func (l *Listener) acceptFrom(fd uintptr) bool {
	peer := &l.peer
	if l.network == "unix" {
		peer = nil // has no name worth knowing, and may be longer
	}
	for {
		l.accepted, l.errno = accept(fd, peer)
		if l.errno != syscall.EINTR && l.errno != syscall.ECONNABORTED { // the next one, please
			return l.errno != syscall.EAGAIN
		}
	}
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	if l.closed.Swap(true) {
		return l.fault("close", net.ErrClosed)
	}
	err := l.file.Close()
	hangups.release()
	return l.fault("close", err)
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return l.addr }

// SetDeadline is that of *net.TCPListener.
func (l *Listener) SetDeadline(t time.Time) error { return l.fault("set", l.file.SetDeadline(t)) }

// SyscallConn gives access to the descriptor.
func (l *Listener) SyscallConn() (syscall.RawConn, error) { return raw{l.raw, l.fault}, nil }

func (l *Listener) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	if l.closed.Load() { // package os has no error of its own for that
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: l.network, Addr: l.addr, Err: plain(op, err)}
}

// raw is a RawConn of package os whose errors are those of package net: what package
// os says of a closed descriptor is no error that one can ask for.
type raw struct {
	syscall.RawConn
	fault func(op string, err error) error
}

func (r raw) Control(f func(fd uintptr)) error {
	return r.fault("raw-control", r.RawConn.Control(f))
}

func (r raw) Read(f func(fd uintptr) (done bool)) error {
	return r.fault("raw-read", r.RawConn.Read(f))
}

func (r raw) Write(f func(fd uintptr) (done bool)) error {
	return r.fault("raw-write", r.RawConn.Write(f))
}
