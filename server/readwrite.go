package server

import (
	"errors"
	"os"
	"runtime"
	"time"
)

var (
	longAgo     = time.Unix(1, 0)
	errDraining = errors.New("server: draining")
)

// lastLook is how long a connection that is being drained looks for a request
// that is already on its way. One that has had none yet looks for drainLinger: its
// client has connected in order to ask, and is told of no end before.
const lastLook = 5 * time.Millisecond

// read reads into p. It fails with os.ErrDeadlineExceeded once until has passed
// (never, if that is zero), and with errDraining if the connection is parked and
// the server shuts down. Deadlines are set seldom: one that comes too early is
// put right when it fires.
func (c *conn) read(p []byte, until time.Time, parked bool) (n int, err error) {
	for {
		if until.IsZero() != c.readBy.IsZero() || c.readBy.After(until) {
			c.setReadDeadline(until)
		}
		if parked && c.state.Or(stateParked)&stateDrain != 0 {
			look := lastLook
			if c.served == 0 {
				look = drainLinger
			}
			_ = c.nc.SetReadDeadline(time.Now().Add(look))
			if n, _ = c.nc.Read(p); n > 0 {
				c.readBy = longAgo
				return n, nil
			}
			return 0, errDraining
		}
		n, err = c.nc.Read(p)
		if parked {
			c.state.And(^stateParked)
		}
		switch {
		case n > 0:
			return n, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, err
		case parked && c.state.Load()&stateDrain != 0: // woken
		case !until.IsZero() && !time.Now().Before(until) || c.readOwn.Load() != nil:
			return 0, err
		}
		if err = c.setReadDeadline(until); err != nil {
			return 0, err
		}
	}
}

// send writes p; if that is empty, what the connection itself has to write. It
// gives up when WriteTimeout has passed without progress, three
// times that at the latest.
func (c *conn) send(p []byte) error {
	t := c.lst.limits.WriteTimeout
	for grace, more := 2*t, true; more; {
		if t > 0 {
			if now := time.Now(); c.writeBy.Sub(now) < t {
				c.setWriteDeadline(now.Add(grace)) // never early, seldom set
			}
		}
		n, err := c.nc.Write(p[:min(len(p), 256<<10)])
		p = p[n:]
		switch {
		case err == nil:
			more = len(p) > 0
		case n > 0 && errors.Is(err, os.ErrDeadlineExceeded):
			grace = t // there was progress, at some time; of TLS a rest may wait even if p is empty
		default:
			c.countWrite(err)
			c.fail(endReset)
			return err
		}
	}
	return nil
}

// flush writes what has been collected.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	c.sent(len(c.out))
	err := c.send(c.out)
	if len(c.out) >= batchSize {
		yield()
	}
	c.out = c.out[:0]
	return err
}

// yield is called whenever much was read or written, and gives others their turn.
// The scheduler would wait for 10 ms: a few hundred clients that keep their
// connections busy would make all others wait for seconds.
func yield() { runtime.Gosched() }
