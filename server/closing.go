package server

import (
	"io"
	"net"
	"net/http"
	"postern/h1"
	"sync"
	"time"
)

// ending is how a connection is closed.
type ending uint8

const (
	// endGently: the client may be sending what nobody will read. Closing at once
	// would reset it, and destroy our last response before it is read (RFC 9112
	// 9.6): half-close, read and discard for a while, then close.
	endGently ending = iota
	// endNow: all that the client sent was read, or it is gone, or nothing of ours
	// is on its way.
	endNow
	// endSoon: the client has said that it sends nothing more; if it has kept its
	// word this is a close, else see lingering.
	endSoon
	// endReset: a response that ends with the connection could not be finished,
	// and nothing but a reset tells the client; or the client does not take what is
	// written, and the kernel would keep that for minutes, outside MaxConns.
	endReset
)

// finish ends the connection.
func (c *conn) finish() {
	c.inTime() // after runtime.Goexit the time of a Drive still runs
	if c.work != nil {
		if c.driven != nil { // hijacked, or runtime.Goexit
			c.driven.leave()
		}
		c.req.end()
		c.vacate()
		c.exchange = exchange{}
		c.release()
	}
	if c.hijacked {
		return
	}
	switch {
	case c.ending == endReset:
		if r, ok := c.nc.(interface{ SetLinger(sec int) error }); ok {
			_ = r.SetLinger(0)
		}
	case c.ending == endGently && closeWrite(c.nc):
		_ = c.nc.SetReadDeadline(time.Now().Add(lingerTime))
		if c.state.Or(stateLinger)&stateDrain != 0 {
			_ = c.nc.SetReadDeadline(time.Now().Add(drainLinger))
		}
		_, _ = io.Copy(io.Discard, c.nc)
	case c.ending == endSoon && mayHaveUnread(c.nc):
		c.srv.lingering.add(c.nc)
		c.srv.connState(c.nc, http.StateClosed)
		c.srv.forget(c)
		return
	case c.tls != nil && !c.broken:
		closeWrite(c.nc) // Close would hardly wait until there is room for a close_notify
	}
	_ = c.nc.Close()
	c.srv.connState(c.nc, http.StateClosed)
	c.srv.forget(c)
}

// How long a client may take to read our last response and close, and how long
// while the server shuts down.
const (
	lingerTime  = 5 * time.Second
	drainLinger = 250 * time.Millisecond
)

// fail makes the connection one that can only be closed.
func (c *conn) fail(how ending) {
	if c.work != nil && c.driven != nil {
		c.driven.mu.Lock()
		defer c.driven.mu.Unlock()
	}
	c.broken, c.ending = true, how
	if c.work != nil {
		_, server := c.proto.State()
		if c.proto.Sending() == h1.FramingClose && (server == h1.Body || how == endNow) {
			c.ending = endReset // a mere end would look like the response's
		}
		c.proto.Fail()
	}
}

// lingering holds connections whose client has called its request its last and has
// all of the answer on its way, but may have sent something behind it, against its
// word: that would turn a close into a reset, which may destroy the answer (RFC 9112
// 9.6). They are half-closed, and stay open a little. Nobody reads or waits for
// them.
type lingering struct {
	mu    sync.Mutex
	queue []half // oldest first
	timer *time.Timer
	over  bool // there is no server any more
}

type half struct {
	nc    net.Conn
	until time.Time
}

const (
	halfTime = 500 * time.Millisecond // how long they stay open
	maxHalf  = 256                    // how many; beyond, the oldest is closed
)

// mayHaveUnread reports whether bytes may wait on nc that nobody has read.
func mayHaveUnread(nc net.Conn) bool {
	c, ok := nc.(interface{ Unread() bool })
	return !ok || c.Unread()
}

// closeWrite half-closes nc, if it can.
func closeWrite(nc net.Conn) bool {
	h, ok := nc.(interface{ CloseWrite() error })
	return ok && h.CloseWrite() == nil
}

// add half-closes nc, and closes it later.
func (l *lingering) add(nc net.Conn) {
	if !closeWrite(nc) {
		_ = nc.Close()
		return
	}
	l.mu.Lock()
	l.queue = append(l.queue, half{nc, time.Now().Add(halfTime)})
	oldest := nc
	switch {
	case l.over:
		l.queue = nil
	case len(l.queue) > maxHalf:
		oldest = l.queue[0].nc
		l.queue = l.queue[1:]
	case l.timer == nil:
		oldest, l.timer = nil, time.AfterFunc(halfTime, l.expire)
	default:
		if oldest = nil; len(l.queue) == 1 {
			l.timer.Reset(halfTime)
		}
	}
	l.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close()
	}
}

// expire closes those whose time is over.
func (l *lingering) expire() {
	now := time.Now()
	l.mu.Lock()
	n := 0
	for n < len(l.queue) && !now.Before(l.queue[n].until) {
		n++
	}
	due := l.queue[:n:n]
	l.queue = l.queue[n:]
	if len(l.queue) > 0 {
		l.timer.Reset(l.queue[0].until.Sub(now))
	}
	l.mu.Unlock()
	for _, h := range due {
		_ = h.nc.Close()
	}
}

// end closes all, and each that comes later at once.
func (l *lingering) end() {
	l.mu.Lock()
	l.over = true
	rest := l.queue
	l.queue = nil
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	for _, h := range rest {
		_ = h.nc.Close()
	}
}
