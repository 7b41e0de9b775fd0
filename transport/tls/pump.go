package tls

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"postern/transport"
)

// Pumper returns the connection as one that can drive a transport.Pump, or nil if
// the connection below cannot. Pump does the handshake if it was not done.
func (c *Conn) Pumper() transport.Pumper {
	if inner := transport.PumperOf(c.wire.Conn); inner != nil {
		return &pumped{Conn: c, inner: inner}
	}
	return nil
}

// Watch implements transport.Watcher, if the connection below does. That a peer has
// finished sending is told when the connection below has; its close_notify is read
// like anything else.
func (c *Conn) Watch(gone func(reset bool)) error {
	if w, ok := c.wire.Conn.(transport.Watcher); ok {
		return w.Watch(gone)
	}
	return c.fault("watch", errors.ErrUnsupported)
}

// pumped turns a Pump of bytes into one of records, which the connection below
// drives: crypto/tls reads what came from there and is told to come again where
// that ends, which it does not keep as an error because it calls itself temporary.
// What crypto/tls writes is held, and is the output of the Step.
type pumped struct {
	*Conn
	inner transport.Pumper

	// Of Pump.
	pump transport.Pump
	slow func(rest []byte) error
	buf  *[]byte       // borrowed while it has records that were not read
	out  *bytes.Buffer // what the last Step returned; nil: nothing
	more bool          // the pump asked for More
	told bool          // the pump knows that nothing more will come
}

// recordBuffers are lent to connections that have something to read. One record
// fits.
var recordBuffers = sync.Pool{New: func() any {
	b := make([]byte, 17<<10)
	return &b
}}

// Pump implements transport.Pumper.
func (c *pumped) Pump(p transport.Pump, slow func(rest []byte) error) transport.Next {
	if c.HandshakeContext(context.Background()) != nil {
		return transport.Close
	}
	c.readBy.set(time.Time{})
	c.pump, c.slow, c.more, c.told = p, slow, true, false // it begins with Step(0)
	c.wire.pumping.Store(true)
	defer func() { // also when a handler ends its goroutine
		c.wire.pumping.Store(false)
		c.recycle()
		c.pump, c.slow = nil, nil
	}()
	return c.inner.Pump((*records)(c), c.write)
}

// Rest implements transport.Pumper. What crypto/tls has read already is not seen
// from below, and only reading tells whether there is something.
func (c *pumped) Rest() {
	if c.HandshakeContext(context.Background()) != nil || c.peeked.Load() {
		return
	}
	c.readBy.set(time.Time{})
	if !c.wire.drained.Load() {
		c.wire.pumping.Store(true)
		n, err := c.tls.Read(c.peek[:])
		c.wire.pumping.Store(false)
		if _, again := err.(comeAgain); !again {
			c.peeked.Store(n > 0)
			return
		}
		c.wire.drained.Store(true)
	}
	c.inner.Rest()
}

// Wake implements transport.Pumper.
func (c *pumped) Wake() { c.inner.Wake() }

// write hands on records that the peer does not take at once: a part at a time, so
// that the engine can tell one that takes them slowly from one that does not.
func (c *pumped) write(rest []byte) error {
	for len(rest) > 0 {
		n := min(len(rest), chunk)
		c.wire.keep(rest[:n])
		if err := c.slow(nil); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// recycle gives back what the last Step returned.
func (c *pumped) recycle() {
	if c.out != nil {
		c.out.Reset()
		buffers.Put(c.out)
		c.out = nil
	}
}

// records is pumped as the connection below drives it.
type records pumped

// Buffer implements transport.Pump.
func (r *records) Buffer() []byte {
	if r.buf == nil {
		r.buf = recordBuffers.Get().(*[]byte)
	}
	return *r.buf
}

// Step implements transport.Pump.
func (r *records) Step(n int) (out []byte, next transport.Next) {
	c := (*pumped)(r)
	c.recycle()
	switch {
	case n > 0:
		c.wire.feed = (*c.buf)[:n]
	case n < 0:
		c.wire.over = true
	}
	next = c.steps()
	if len(c.wire.feed) == 0 && c.buf != nil {
		recordBuffers.Put(c.buf)
		c.buf = nil
	}
	if c.out = c.wire.take(); c.out != nil {
		out = c.out.Bytes()
	}
	return out, next
}

// steps steps the pump until it wants something else than more records.
func (c *pumped) steps() transport.Next {
	for {
		n := 0
		if again := false; !c.more {
			var err error
			n, err = c.read(c.pump.Buffer())
			_, again = err.(comeAgain)
			switch {
			case n > 0:
			case again:
				c.wire.drained.Store(true)
			default:
				n, c.told = -1, true
			}
		}
		c.more = false
		out, next := c.pump.Step(n)
		if len(out) > 0 && c.encrypt(out) != nil {
			return transport.Close
		}
		switch {
		case next == transport.More:
			c.more = true
			return next
		case next != transport.Park:
			return next
		case c.told:
			return transport.Close
		case n == 0 && c.wire.drained.Load():
			return next
		}
	}
}

// encrypt makes records of p, and holds them.
func (c *pumped) encrypt(p []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.wire.hold()
	_, err := c.tls.Write(p)
	return err
}

// comeAgain is what a wire says that has no more to read for now.
type comeAgain struct{}

func (comeAgain) Error() string   { return "nothing more to read now" }
func (comeAgain) Timeout() bool   { return true }
func (comeAgain) Temporary() bool { return true }
