package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// encrypted is a connection that speaks TLS.
type encrypted interface {
	ConnectionState() tls.ConnectionState
}

// handshaker is one that has its handshake to do, as those of transport/tls and of
// crypto/tls do.
type handshaker interface {
	encrypted
	HandshakeContext(context.Context) error
	NetConn() net.Conn
}

// TLS returns what the connection's handshake agreed on, or nil if the connection
// is not encrypted. It is shared by all requests of the connection, and not to be
// changed.
func (r *Request) TLS() *tls.ConnectionState { return r.tls }

// errPlain is what a client did that speaks HTTP where TLS is spoken.
var errPlain = errors.New("server: this port speaks HTTPS, and the request was HTTP")

// handshake does the TLS handshake, if there is one to do still, and reports
// whether the connection goes on. The time for the first byte begins behind it.
func (c *conn) handshake() bool {
	e, ok := c.nc.(encrypted)
	if !ok || c.tls != nil {
		return true
	}
	if h, ok := e.(handshaker); ok && !c.shaken(h) {
		return false
	}
	state := e.ConnectionState()
	c.tls = &state
	return true
}

// shaken does the handshake and reports whether it succeeded.
func (c *conn) shaken(h handshaker) bool {
	limit, first := c.lst.limits.HandshakeTimeout, c.lst.limits.FirstByteTimeout
	if c.over {
		limit, first = overTimeout, overTimeout
	}
	if err := c.shake(h, limit); err != nil {
		c.srv.unshaken.Add(1)
		if errors.Is(err, context.DeadlineExceeded) {
			c.srv.counts.handshake.Add(1)
		}
		c.srv.cfg.Log.Debug("server: TLS handshake failed", "error", err, "listener", c.lst.Name)
		c.ending = endNow
		c.refuse(h.NetConn(), err)
		return false
	}
	c.until = after(c.srv.age(), first)
	c.expect(c.until, alarmEnd)
	return true
}

// shake does the handshake within limit, if that is not negative, and within
// drainLinger once the server shuts down: a client that is still at its handshake
// has asked for nothing yet.
func (c *conn) shake(h handshaker, limit time.Duration) error {
	ctx, cancel := context.WithCancel(c.srv.base)
	defer cancel()
	if limit > 0 {
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	unhook := context.AfterFunc(c.srv.leaving, func() {
		select {
		case <-time.After(drainLinger):
			cancel()
		case <-ctx.Done():
		}
	})
	defer unhook()
	return h.HandshakeContext(ctx)
}

// refuse ends a connection, whose handshake has failed, on the one below. A client
// that speaks HTTP is answered there. It may still be sending: closing at once could
// destroy the answer, or the alert that TLS sent.
func (c *conn) refuse(below net.Conn, err error) {
	_ = below.SetDeadline(time.Now().Add(drainLinger))
	if plain, ok := errors.AsType[tls.RecordHeaderError](err); ok && plain.Conn != nil && looksLikeHTTP(plain.RecordHeader) {
		c.w = copy(c.Buffer(), plain.RecordHeader[:])
		c.out = c.out[:0]
		_, _ = c.next() // a response needs a request that has begun
		c.reject(400, errPlain)
		_, _ = below.Write(c.out) // the connection ends either way
	}
	if half, ok := below.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, below)
	}
}

// looksLikeHTTP reports whether the first bytes are those of a request of a common
// method.
func looksLikeHTTP(first [5]byte) bool {
	switch string(first[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "PATCH", "DELET", "OPTIO":
		return true
	}
	return false
}
