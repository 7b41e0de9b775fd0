package tls

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A Conn is one end of a TLS connection. It is a net.Conn, and all methods may be
// called at the same time; concurrent writes do not mix. The handshake is done by
// HandshakeContext, or by whatever needs it first.
//
// Unlike those of crypto/tls its writes can go on after a deadline, it sends the
// records of a Write together, and it tells a stream that was broken off from one
// that ended: see the package's documentation.
type Conn struct {
	tls   *tls.Conn
	wire  *wire
	limit time.Duration // for the handshake; 0: none

	shaken  atomic.Bool // the handshake is done
	closed  atomic.Bool
	abort   atomic.Bool // Close says nothing
	writing sync.Mutex  // held by Write and CloseWrite

	readBy, writeBy deadline

	peeked atomic.Bool // peek was read, and not delivered
	peek   [1]byte
}

// ErrUnknownName is wrapped by the error of a handshake that Config.Strict ended.
var ErrUnknownName = errors.New("no certificate for the name")

func newConn(inner net.Conn, config *tls.Config, limit time.Duration, side func(net.Conn, *tls.Config) *tls.Conn) *Conn {
	w := &wire{Conn: inner}
	return &Conn{tls: side(w, config), wire: w, limit: limit}
}

// HandshakeContext does the handshake, or waits for the one that is under way, and
// returns at once when it was done before. When ctx ends first, or the time for a
// handshake is over, the connection is closed. So it is by every deadline that
// comes during a handshake. A failure is final: every later call, Read and Write
// fail too.
//
// A client that does not speak TLS at all makes it fail with an error that wraps a
// tls.RecordHeaderError of crypto/tls, which has the first bytes that came, and in
// Conn the connection below. Nothing was written to that, so who knows what such
// clients speak can answer there.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	if c.shaken.Load() {
		return nil
	}
	if c.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.limit)
		defer cancel()
	}
	err := c.tls.HandshakeContext(ctx)
	if err == nil {
		c.shaken.Store(true)
		return nil
	}
	if plain, ok := errors.AsType[tls.RecordHeaderError](err); ok && plain.Conn != nil {
		plain.Conn = c.wire.Conn
		err = plain
	} else if c.wire.unknown {
		err = fmt.Errorf("%w %q", ErrUnknownName, c.tls.ConnectionState().ServerName)
	}
	return fmt.Errorf("tls: handshake with %v: %w", c.RemoteAddr(), err)
}

// ready is what has to hold before anything is read or written: the connection is
// open, its deadline has not passed, and the handshake is done.
func (c *Conn) ready(op string, passed bool) error {
	if c.closed.Load() {
		return c.fault(op, net.ErrClosed)
	}
	if passed {
		return c.fault(op, os.ErrDeadlineExceeded)
	}
	return c.HandshakeContext(context.Background())
}

// Read reads up to len(p) bytes into p, and waits while there are none. When the
// peer said that it has finished sending, it returns io.EOF; when the connection
// ended without that, an error that wraps io.ErrUnexpectedEOF.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.ready("read", c.readBy.passed()); err != nil {
		return 0, err
	}
	n, err := c.read(p)
	if err == io.EOF && c.wire.ended.Load() {
		err = io.ErrUnexpectedEOF
	}
	return n, c.fault("read", err)
}

// read reads what Rest has looked at first.
func (c *Conn) read(p []byte) (int, error) {
	if c.peeked.Load() && len(p) > 0 && c.peeked.CompareAndSwap(true, false) {
		p[0] = c.peek[0]
		return 1, nil
	}
	return c.tls.Read(p)
}

// chunk is how many bytes are encrypted before they are written: as many as fit
// into one record, though crypto/tls begins with smaller ones. A client that takes
// them slowly has to take so many before a Write that waited for it can tell.
const chunk = 16 << 10

// Write encrypts p and writes it. It returns how much of p it took before an
// error. After a deadline the connection is as good as before, but the last of
// what Write took may wait here: it goes out in front of the next Write, an empty
// one will do, or with CloseWrite.
func (c *Conn) Write(p []byte) (n int, err error) {
	if err := c.ready("write", c.writeBy.passed()); err != nil {
		return 0, err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	for err = c.wire.flush(); err == nil; {
		var k int
		c.wire.hold()
		k, err = c.tls.Write(p[n:min(len(p), n+chunk)])
		n += k
		if flushErr := c.wire.flush(); err == nil {
			err = flushErr
		}
		if n == len(p) {
			break
		}
	}
	return n, c.fault("write", err)
}

// How long a close_notify may take that the peer makes no room for. Close must
// not keep waiting who closes many.
const (
	closeWriteTimeout = 5 * time.Second
	closeTimeout      = 250 * time.Millisecond
)

// CloseWrite finishes sending: the peer reads what was written and then io.EOF,
// and can still answer. The connection below is half-closed too, if it can be.
// No write deadline applies; it gives up after 5 s.
func (c *Conn) CloseWrite() error {
	if err := c.ready("close", false); err != nil {
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.closed.Load() {
		return c.fault("close", net.ErrClosed)
	}
	err := c.closeNotify(closeWriteTimeout)
	if half, ok := c.wire.Conn.(interface{ CloseWrite() error }); ok && err == nil {
		err = half.CloseWrite()
	}
	return c.fault("close", err)
}

// closeNotify sends all that is left and close_notify. c.writing is held.
func (c *Conn) closeNotify(limit time.Duration) error {
	if err := c.wire.Conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	c.wire.hold()
	err := c.tls.CloseWrite()
	if flushErr := c.wire.flush(); err == nil {
		err = flushErr
	}
	return err
}

// Close ends the connection and every Read and Write on this end. The peer reads
// what was written and then io.EOF, also when there are bytes that we have not
// read. After SetLinger(0), and when a Write is under way or was left by a
// deadline, it learns of no end but that of the connection.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.fault("close", net.ErrClosed)
	}
	if c.shaken.Load() && !c.abort.Load() && c.writing.TryLock() {
		if !c.wire.overdue() {
			_ = c.closeNotify(closeTimeout) // a peer that is gone needs none
		}
		c.writing.Unlock()
	}
	return c.fault("close", c.wire.Close())
}

// SetLinger with 0 seconds makes Close break off: what was sent so far is not the
// whole, and the peer can tell, also where the connection below cannot be reset.
// Other numbers are the business of the connection below.
func (c *Conn) SetLinger(sec int) error {
	c.abort.Store(sec == 0)
	if l, ok := c.wire.Conn.(interface{ SetLinger(sec int) error }); ok {
		return l.SetLinger(sec)
	}
	return nil
}

// NetConn returns the connection below. Reading or writing there breaks this one.
func (c *Conn) NetConn() net.Conn { return c.wire.Conn }

// TLS returns the connection of crypto/tls, for those who insist on that type, as
// the HTTP/2 of net/http does. Once it is used, the Conn is only there to be
// closed.
func (c *Conn) TLS() *tls.Conn { return c.tls }

// ConnectionState returns what the handshake agreed on. It waits for a handshake
// that is under way, and does none.
func (c *Conn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// LocalAddr returns this end's address.
func (c *Conn) LocalAddr() net.Addr { return c.wire.LocalAddr() }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.wire.RemoteAddr() }

// SetDeadline sets the read and the write deadline. A Read or Write that waits or
// begins at t or later fails with os.ErrDeadlineExceeded; the zero time means
// none. Afterwards a later deadline makes the connection usable again, unless the
// handshake was not done yet.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline is SetDeadline for Read alone.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.readBy.set(t)
	return c.fault("set", c.wire.Conn.SetReadDeadline(t))
}

// SetWriteDeadline is SetDeadline for Write alone.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeBy.set(t)
	return c.fault("set", c.wire.Conn.SetWriteDeadline(t))
}

// fault says where err happened, if it does not say so itself.
func (c *Conn) fault(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Addr != nil {
		return err
	}
	return &net.OpError{Op: op, Net: "tls", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// A deadline is known here too, because bytes that are decrypted already are read
// without asking the connection below.
type deadline struct {
	mu sync.Mutex
	at time.Time
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	d.at = t
	d.mu.Unlock()
}

func (d *deadline) passed() bool {
	d.mu.Lock()
	at := d.at
	d.mu.Unlock()
	return !at.IsZero() && !time.Now().Before(at)
}
