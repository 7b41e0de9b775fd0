package proxyproto

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"postern/transport"
)

// A Conn is a connection that begins with a header. All methods may be called at the
// same time. It has what the connections of transport/tcp have; what the connection
// below lacks fails with an error that wraps errors.ErrUnsupported. It drives, see
// transport.PumperOf, if that one does.
type Conn struct {
	inner  net.Conn
	pumper transport.Pumper // inner, if it drives
	config *Config
	until  time.Time // when the header has to be there; zero: no limit

	done        atomic.Bool // the header was read, or will never be; the next four do not change then
	header      Header
	err         error
	source      net.Addr // nil: inner's
	destination net.Addr

	reading sync.Mutex // held by the one who reads the header
	buf     []byte     // as far as it is here

	closed atomic.Bool

	mu     sync.Mutex // never held while anything blocks
	readBy time.Time  // the read deadline, to be set once done
	woken  bool       // Wake was called before that
}

var (
	_ net.Conn          = (*Conn)(nil)
	_ syscall.Conn      = (*Conn)(nil)
	_ io.ReaderFrom     = (*Conn)(nil)
	_ transport.Watcher = (*Conn)(nil)
)

func newConn(inner net.Conn, config *Config) *Conn {
	c := &Conn{inner: inner, pumper: transport.PumperOf(inner), config: config}
	if config.Timeout > 0 {
		c.until = time.Now().Add(config.Timeout)
	}
	return c
}

// Header returns the header, which it waits for as Read does. It is shared and not
// to be changed.
func (c *Conn) Header() (*Header, error) {
	if err := c.ready(false); err != nil {
		return nil, err
	}
	return &c.header, nil
}

// NetConn returns the connection below, with the proxy's own address. Reading there
// before the header was read breaks this one.
func (c *Conn) NetConn() net.Conn { return c.inner }

// RemoteAddr returns the client's address, which it waits for as Read does. It is
// the proxy's if the header names none or one of another kind than TCP, and if there
// is no header: nothing can be read or written then.
func (c *Conn) RemoteAddr() net.Addr {
	if c.ready(false) == nil && c.source != nil {
		return c.source
	}
	return c.inner.RemoteAddr()
}

// LocalAddr returns what the client connected to, and else as RemoteAddr this end's
// own address.
func (c *Conn) LocalAddr() net.Addr {
	if c.ready(false) == nil && c.destination != nil {
		return c.destination
	}
	return c.inner.LocalAddr()
}

// Read reads what follows the header.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.ready(false); err != nil {
		return 0, err
	}
	return c.inner.Read(p)
}

// Write writes p, but nothing before the header was read: a peer that sends a wrong
// one gets no answer. So long the read deadline applies.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.ready(false); err != nil {
		return 0, err
	}
	return c.inner.Write(p)
}

// ReadFrom is Write of what r has, by the way of the connection below.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	if err := c.ready(false); err != nil {
		return 0, err
	}
	if to, ok := c.inner.(io.ReaderFrom); ok {
		return to.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c.inner}, r) // hides what of c would lead here again
}

// SyscallConn gives access to the descriptor below, once the header was read.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if err := c.ready(false); err != nil {
		return nil, err
	}
	if s, ok := c.inner.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, c.lacks("SyscallConn")
}

// Close closes the connection. One that was refused is closed already.
func (c *Conn) Close() error {
	c.closed.Store(true)
	return c.inner.Close()
}

// CloseWrite ends this direction.
func (c *Conn) CloseWrite() error {
	if half, ok := c.inner.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.lacks("CloseWrite")
}

// SetLinger sets what Close does with data that is not acknowledged yet.
func (c *Conn) SetLinger(sec int) error {
	if l, ok := c.inner.(interface{ SetLinger(sec int) error }); ok {
		return l.SetLinger(sec)
	}
	return c.lacks("SetLinger")
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.inner.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn. Reading the header ends at its own deadline
// too, for good.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done.Load() {
		return c.inner.SetReadDeadline(t)
	}
	c.readBy = t
	return c.inner.SetReadDeadline(earlier(t, c.until)) // who reads the header looks again
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.inner.SetWriteDeadline(t) }

// Watch implements transport.Watcher.
func (c *Conn) Watch(gone func(reset bool)) error {
	if w, ok := c.inner.(transport.Watcher); ok {
		return w.Watch(gone)
	}
	return c.lacks("Watch")
}

func (c *Conn) lacks(method string) error {
	return fmt.Errorf("proxyproto: %T has no %s: %w", c.inner, method, errors.ErrUnsupported)
}

// earlier returns the earlier of two deadlines, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// ready reads the header unless that was done, and returns what was wrong with it.
// It gives up before that, so that the next call goes on, at the read deadline; or
// when it reads for Pump, which has none, by errWoken.
func (c *Conn) ready(pumping bool) error {
	if c.done.Load() {
		return c.err
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	for !c.done.Load() {
		if err := c.arm(pumping); err != nil {
			return err
		}
		h, n, err := Parse(c.buf)
		switch {
		case err != nil || n <= len(c.buf):
		case n > max(c.config.MaxHeader, maxLine):
			err = wrong(headSize-2, "%d bytes, and %d are allowed", n, c.config.MaxHeader)
		case !c.until.IsZero() && !time.Now().Before(c.until):
			err = fmt.Errorf("none within %v", c.config.Timeout) // no os.ErrDeadlineExceeded: it is final
		default:
			if err = c.fill(n); err == nil {
				continue
			}
		}
		c.settle(h, err)
	}
	return c.err
}

// arm sets the deadline for the next piece of the header, or says why not to wait.
func (c *Conn) arm(pumping bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case pumping && c.woken:
		c.woken = false
		return errWoken
	case pumping:
		c.readBy = time.Time{}
	case !c.readBy.IsZero() && !time.Now().Before(c.readBy):
		addr := c.inner.LocalAddr()
		return &net.OpError{Op: "read", Net: addr.Network(), Source: addr, Addr: c.inner.RemoteAddr(), Err: os.ErrDeadlineExceeded}
	}
	_ = c.inner.SetReadDeadline(earlier(c.readBy, c.until)) // failing, the read tells
	return nil
}

// fill reads on, to at most n bytes of the header.
func (c *Conn) fill(n int) error {
	if cap(c.buf) < n {
		c.buf = append(make([]byte, 0, max(n, maxLine)), c.buf...)
	}
	k, err := c.inner.Read(c.buf[len(c.buf):n])
	c.buf = c.buf[:len(c.buf)+k]
	switch {
	case k > 0 || errors.Is(err, os.ErrDeadlineExceeded): // whose deadline that was, arm will see
		return nil
	case err == io.EOF:
		return fmt.Errorf("%w after %d bytes", io.ErrUnexpectedEOF, len(c.buf))
	}
	return err
}

// settle ends the reading of the header: it is h, or err says that there is none.
func (c *Conn) settle(h Header, err error) {
	if err == nil {
		c.header = h
		if h.Source.IsValid() {
			c.source = net.TCPAddrFromAddrPort(h.Source)
			c.destination = net.TCPAddrFromAddrPort(h.Destination)
		}
	} else {
		c.err = fmt.Errorf("proxyproto: header from %v: %w", c.inner.RemoteAddr(), err)
		if c.config.Refused != nil && !errors.Is(err, net.ErrClosed) {
			c.config.Refused(c.inner.RemoteAddr(), c.err)
		}
		_ = c.inner.Close()
	}
	c.buf = nil
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.inner.SetReadDeadline(c.readBy) // failing, the read tells
	c.done.Store(true)
	if c.woken {
		c.pumper.Wake()
	}
}
