package memory

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// A Conn is one end of a connection. It is a net.Conn with CloseWrite, and all
// methods may be called at the same time; concurrent writes do not mix. Errors
// are *net.OpError around the system's own: net.ErrClosed, os.ErrDeadlineExceeded,
// syscall.ECONNRESET, syscall.EPIPE.
type Conn struct {
	in, out       *stream // from the peer, and to it
	local, remote Addr
	once          sync.Once // guards the closing
}

// Pipe returns the two ends of a new connection, with buffers of the default
// size. The caller closes both.
func Pipe() (client, server *Conn) {
	c := Config{}.withDefaults()
	return pipe(c.Buffer, c.addr(1), c.addr(0))
}

func pipe(size int, client, server Addr) (*Conn, *Conn) {
	up, down := newStream(size), newStream(size)
	return &Conn{in: down, out: up, local: client, remote: server},
		&Conn{in: up, out: down, local: server, remote: client}
}

// Read reads up to len(p) bytes into p, and waits while there are none. When
// the peer has finished sending and everything is read it returns io.EOF; when
// the peer broke off, an error that wraps syscall.ECONNRESET. Past the read
// deadline it fails even if there is something to read.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.fault("read", err)
}

// Write copies p into the buffer of the connection and waits while that is
// full. It returns how much of p went there before an error: the write
// deadline, Close, or a peer that closed, which wraps syscall.EPIPE or
// syscall.ECONNRESET.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.fault("write", err)
}

// CloseWrite finishes sending: the peer reads what was written and then io.EOF,
// and can still answer.
func (c *Conn) CloseWrite() error { return c.fault("close", c.out.finish()) }

// Close ends the connection and every Read and Write on this end. The peer
// still reads what was written; then io.EOF, or a reset when Close found bytes
// that were never read.
func (c *Conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		unread := c.in.abandon()
		end := error(io.EOF)
		if unread {
			end = syscall.ECONNRESET
		}
		c.out.close(end)
		err = nil
	})
	return c.fault("close", err)
}

// reset breaks the connection off from this end, as Close does with bytes left.
func (c *Conn) reset() {
	c.once.Do(func() {
		c.in.abandon()
		c.out.close(syscall.ECONNRESET)
	})
}

// LocalAddr returns this end's Addr.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the peer's Addr.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets the read and the write deadline. A Read or Write that waits
// or begins at t or later fails with os.ErrDeadlineExceeded; the zero time
// means none. Afterwards a later deadline makes the connection usable again.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline is SetDeadline for Read alone.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.fault("set", c.in.setReadDeadline(t))
}

// SetWriteDeadline is SetDeadline for Write alone.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.fault("set", c.out.setWriteDeadline(t))
}

// fault wraps err as package net does: all but io.EOF.
func (c *Conn) fault(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "memory", Source: c.local, Addr: c.remote, Err: err}
}
