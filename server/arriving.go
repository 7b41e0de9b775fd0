package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"postern/h1"
)

// arriving is a connection seen as the reader of a body that is still on its way.
type arriving conn

// minRoom is the least room, in bytes, that a read of body bytes is given.
const minRoom = 4 << 10

// Read implements io.Reader; what does not fit into p becomes the request's ready
// content.
func (a *arriving) Read(p []byte) (int, error) {
	c := (*conn)(a)
	for {
		ev, err := c.next()
		if err != nil {
			if fault := c.fault(err); fault != nil {
				if fault.Code == h1.ErrUnexpectedEOF {
					return 0, &Error{Status: fault.Status, Err: fmt.Errorf("%w: %w", ErrBodyTruncated, fault)}
				}
				return 0, &Error{Status: fault.Status, Err: fmt.Errorf("server: request body: %w", fault)}
			}
			return 0, io.ErrClosedPipe
		}
		switch ev.Kind {
		case h1.EventData:
			n := copy(p, ev.Data)
			c.req.body.ready = ev.Data[n:]
			return n, nil
		case h1.EventNeedData:
			if err := c.invite(); err != nil {
				return 0, err
			}
			if err := c.fill(); err != nil {
				return 0, err
			}
		case h1.EventEnd:
			return 0, io.EOF
		default: // our response has ended the connection
			return 0, errExchangeEnded
		}
	}
}

// invite tells a client that waits for it to send the content, and sends what
// else is due: the client may wait for that.
func (c *conn) invite() (err error) {
	if c.driven != nil {
		return c.driven.invite()
	}
	if c.proto.WantsContinue() {
		if c.out, err = c.proto.AppendInfo(c.out, 100); err != nil {
			return err
		}
	}
	return c.flush()
}

// fill reads more of the body. The head stays where it is, and what was consumed
// behind it makes room. The time spent here and the bytes that it brings are held
// against BodyRate.
func (c *conn) fill() error {
	c.w = c.headEnd + copy(c.in[c.headEnd:], c.in[c.r:c.w])
	c.r = c.headEnd
	if len(c.in)-c.w < minRoom {
		c.growInput()
	}
	l := &c.lst.limits
	start := time.Now()
	var until time.Time
	if l.BodyRate > 0 && l.BodyWindow > 0 && c.readOwn.Load() == nil {
		until = start.Add(l.BodyWindow - c.waited)
	}
	n, err := c.read(c.in[c.w:], until, false)
	if c.w += n; c.w == len(c.in) { // there is more
		yield()
	}
	c.received(n)
	c.waited += time.Since(start)
	c.arrived += int64(n)
	if !until.IsZero() && c.waited >= l.BodyWindow && c.readOwn.Load() == nil {
		if float64(c.arrived) < float64(l.BodyRate)*c.waited.Seconds() {
			c.srv.counts.body.Add(1)
			return &Error{Status: 408, Err: fmt.Errorf("%w: %d bytes in %v", ErrBodyTimeout, c.arrived, c.waited.Round(time.Millisecond))}
		}
		c.waited, c.arrived = 0, 0
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case c.driven != nil:
		c.driven.mu.Lock()
		defer c.driven.mu.Unlock()
	}
	if c.ending = endNow; err != io.EOF {
		return err
	}
	c.proto.CloseInput()
	return nil
}

// growInput doubles the input buffer, with the head in it.
func (c *conn) growInput() {
	if c.driven != nil {
		c.driven.mu.Lock()
		defer c.driven.mu.Unlock()
	}
	head := c.proto.Request()
	c.in = append(c.in, make([]byte, len(c.in))...)
	head.Rebase(c.in[c.headStart:c.headEnd])
}
