package server

import (
	"context"
	"time"

	"postern/transport"
)

// hangup is who wants to know that the client has gone.
type hangup struct {
	cancel context.CancelFunc
	half   bool // also when it has only finished sending
}

// gone takes note that the client has gone, by a reset, or has finished sending.
// Any goroutine may call it.
func (c *conn) gone(reset bool) {
	if reset {
		c.state.Or(stateReset)
	} else {
		c.state.Or(stateHalf)
	}
	c.tell()
}

// watch makes cancel the function that is called when the client has gone, if the
// transport tells.
func (c *conn) watch(cancel context.CancelFunc, half bool) {
	if w, ok := c.nc.(transport.Watcher); ok && !c.watched {
		c.watched = w.Watch(c.gone) == nil
	}
	c.hangup.Store(&hangup{cancel, half})
	c.tell()
}

// tell runs after each change of what it looks at, so none is missed.
func (c *conn) tell() {
	h, state := c.hangup.Load(), c.state.Load()
	if h != nil && (state&(stateReset|stateLate) != 0 || h.half && state&stateHalf != 0) {
		h.cancel()
	}
}

// setReadDeadline sets nc's read deadline, unless the exchange has one of its own.
// That is looked at last: who sets it sets nc's afterwards, so it wins either way.
func (c *conn) setReadDeadline(t time.Time) error {
	err := c.nc.SetReadDeadline(t)
	if c.readBy = t; c.readOwn.Load() != nil {
		return c.nc.SetReadDeadline(*c.readOwn.Load())
	}
	return err
}

// setWriteDeadline is setReadDeadline for writing.
func (c *conn) setWriteDeadline(t time.Time) {
	err := c.nc.SetWriteDeadline(t)
	if c.writeBy = t; err == nil && c.writeOwn.Load() != nil {
		_ = c.nc.SetWriteDeadline(*c.writeOwn.Load()) // failing, writing tells
	}
}
