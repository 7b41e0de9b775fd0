package server

import (
	"net"
	"sync"
	"time"
)

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
