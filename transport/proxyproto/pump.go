package proxyproto

import (
	"errors"
	"time"

	"postern/transport"
)

// Pumper returns the connection as one that can drive a transport.Pump, or nil if the
// connection below cannot. Pump and Rest read the header first.
func (c *Conn) Pumper() transport.Pumper {
	if c.pumper == nil {
		return nil
	}
	return pumped{c}
}

// pumped hands over to the connection below once the header was read.
type pumped struct{ *Conn }

// Pump implements transport.Pumper.
func (c pumped) Pump(p transport.Pump, slow func(rest []byte) error) transport.Next {
	switch err := c.ready(true); {
	case err == nil:
		return c.pumper.Pump(p, slow)
	case err == errWoken && !c.closed.Load():
		return transport.Park
	}
	return transport.Close
}

// Rest implements transport.Pumper.
func (c pumped) Rest() {
	if c.ready(true) == nil {
		c.pumper.Rest()
	}
}

// Wake implements transport.Pumper.
func (c pumped) Wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done.Load() {
		c.pumper.Wake()
		return
	}
	c.woken = true
	_ = c.inner.SetReadDeadline(longAgo) // if it fails, nobody waits
}

var (
	longAgo  = time.Unix(1, 0)
	errWoken = errors.New("proxyproto: woken")
)
