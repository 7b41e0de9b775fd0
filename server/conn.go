package server

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"postern/h1"
	"postern/transport"
)

// conn is one connection. Its life is a loop: the transport reads, Step feeds the
// bytes to the protocol, calls the handler for each request that is complete, and
// hands back what is to be written. A request whose body is still arriving leaves
// that loop (transport.Leave) and is finished by resume with ordinary reads.
//
// All of it runs on the connection's own goroutine; only wake is called by others.
type conn struct {
	srv    *Server
	lst    *listener
	nc     net.Conn
	pumper transport.Pumper // nc, if it can drive; nil: ordinary reads and writes
	due    atomic.Int64     // the age at which the clock wakes a pumped connection; 0: it does not

	*work // borrowed; nil while nothing is going on

	served  int      // requests begun
	taken   int64    // bytes consumed before work was borrowed
	waiting h1.Phase // what until was set for
	until   age
	over    bool   // past MaxConns: answer 503
	small   bool   // has napped before
	napping bool   // goes on in nap
	alarm   alarm  // what due is for
	resting bool   // idle, once out is written
	active  bool   // as ConnState was told
	broken  bool   // nothing more can be said
	last    bool   // the client has said that this request is its last
	ending  ending // how to close
	state   atomic.Uint32
	tls     *tls.ConnectionState // nil if there is none

	readBy, writeBy   time.Time                 // the deadlines that nc has
	readOwn, writeOwn atomic.Pointer[time.Time] // instead of these, while not nil

	hangup   atomic.Pointer[hangup] // who wants to know that the client has gone
	watched  bool                   // the transport calls gone: nobody need read to find out
	hijacked bool                   // nc is somebody else's
	limit    *handlerTime           // nil until a handler's time is limited
	tally    *tally                 // nil unless everything is counted
}

// Bits of conn.state.
const (
	stateParked uint32 = 1 << iota // waiting for a request's first byte
	stateDrain                     // Shutdown has begun
	stateLinger                    // said all, waiting for the client to close
	stateHalf                      // the client has finished sending
	stateReset                     // the client is gone
	stateLate                      // the handler's time is over
)

// work is what a connection needs while bytes are waiting or a request is going
// on; a parked connection gives it back.
type work struct {
	proto h1.ServerConn
	in    []byte // input; in[r:w] is not consumed
	r, w  int
	used  int64  // bytes consumed since it was borrowed
	mark  int64  // used, when the last exchange ended
	out   []byte // output that is not written yet
	now   age    // when the last exchange ended, or nearly
	exchange
}

const (
	inputSize = 16 << 10 // bytes of input buffer to begin with; heads may make it grow
	batchSize = 64 << 10 // bytes of output from which on it is written before more is made
)

var works = sync.Pool{New: func() any { return &work{in: make([]byte, inputSize)} }}

var _ transport.Pump = (*conn)(nil)

func newConn(l *listener, nc net.Conn) *conn {
	c := &conn{srv: l.srv, lst: l, nc: nc, until: after(l.srv.age(), l.limits.FirstByteTimeout), tally: l.srv.tallyOf()}
	c.pumper = transport.PumperOf(nc)
	c.expect(c.until, alarmEnd)
	return c
}

// serve is the connection's goroutine, or the last of several that follow each
// other.
func (c *conn) serve() {
	passed := false
	defer func() {
		if !passed { // also when a handler has ended the goroutine
			c.finish()
		}
	}()
	if !c.handshake() {
		return
	}
	if c.isHTTP2() {
		c.handOver()
		return
	}
	for {
		switch next := c.drive(); {
		case next != transport.Leave:
			return
		case c.napping:
			passed = true
			go c.nap() // ends as this one would
			return
		case !c.resume():
			return
		}
	}
}

// nap waits on a fresh goroutine for the next request: the stack of one that has
// served stays as large as that took, and most of what an idle connection costs is
// its stack.
func (c *conn) nap() {
	c.pumper.Rest()
	c.serve()
}

// drive calls Step until that wants to leave or close: the transport does, by
// readiness, if it can.
func (c *conn) drive() transport.Next {
	for c.pumper != nil && c.state.Load()&stateDrain == 0 { // loop knows how a connection ends that is being drained
		c.napping = false
		switch {
		case c.due.Load() != 0 || c.alarm == alarmOff:
		case c.alarm == alarmNap:
			c.expect(c.until, alarmEnd)
			c.napping = true
			return transport.Leave
		default:
			return c.expire()
		}
		next := c.pumper.Pump(c, c.send)
		c.readBy = time.Time{} // which Pump has taken away
		if next != transport.Park {
			return next
		}
	}
	return c.loop()
}

// expire ends a connection whose time to send something is over.
func (c *conn) expire() transport.Next {
	if c.waiting == h1.PhaseIdle {
		if c.served == 0 {
			c.srv.counts.firstByte.Add(1)
		} else {
			c.srv.counts.idle.Add(1)
		}
		c.ending = endNow
		return transport.Close
	}
	c.srv.counts.head.Add(1)
	c.begun()
	c.out = c.out[:0]
	c.reject(408, nil)
	_ = c.flush() // the connection ends either way
	return transport.Close
}

// loop does with ordinary reads and writes what a pumping transport does with
// readiness.
func (c *conn) loop() transport.Next {
	for n := 0; ; {
		out, next := c.Step(n)
		if len(out) > 0 && c.send(out) != nil {
			return transport.Close
		}
		switch next {
		case transport.More:
			n = 0
			continue
		case transport.Leave, transport.Close:
			return next
		}
		var err error
		if n, err = c.read(c.Buffer(), c.srv.at(c.until), c.waiting == h1.PhaseIdle); err == nil {
			continue
		}
		n = -1
		switch {
		case errors.Is(err, errDraining):
			c.ending = endNow
			return transport.Close
		case errors.Is(err, os.ErrDeadlineExceeded):
			return c.expire()
		}
	}
}

// Buffer implements transport.Pump: it returns where to read.
func (c *conn) Buffer() []byte {
	if c.work == nil {
		c.work = works.Get().(*work)
		c.proto.Reset(&c.lst.head)
	}
	if c.r > 0 {
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.in) { // only a head can fill it
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
	return c.in[c.w:]
}

// step is Step, uncounted.
func (c *conn) step(n int) (out []byte, next transport.Next) {
	if c.work == nil {
		if n < 0 {
			c.ending = endNow
			return nil, transport.Close
		}
		return nil, transport.Park
	}
	if c.resting {
		if c.resting = false; n == 0 { // it has been written, and nothing else is here
			return nil, c.rest(h1.PhaseIdle)
		}
	}
	c.out = c.out[:0]
	if n > 0 {
		if c.w += n; c.w == len(c.in) { // there is more
			yield()
		}
	} else if n < 0 {
		c.ending = endNow // the answer to what came before is still due
		c.proto.CloseInput()
	}
	for len(c.out) < batchSize {
		ev, n, err := c.proto.Next(c.in[c.r:c.w])
		c.r += n
		c.used += int64(n)
		switch {
		case c.broken:
			return c.out, transport.Close
		case err != nil:
			c.refuseInput(err)
			return c.out, transport.Close
		}
		switch ev.Kind {
		case h1.EventRequest:
			c.begin()
		case h1.EventData:
			c.gather(ev.Data)
		case h1.EventEnd:
			c.req.body.done = true
			if c.answer(); c.driven != nil {
				return c.out, transport.Leave
			}
		case h1.EventNeedData:
			return c.wait()
		default: // closed: Paused cannot be, every End is answered
			if c.last && c.r == c.w {
				c.ending = endSoon
			}
			return c.out, transport.Close
		}
	}
	yield()
	return c.out, transport.More
}

// next is the protocol's next event, for who may have a Drive beside itself.
func (c *conn) next() (h1.Event, error) {
	if c.driven != nil {
		c.driven.mu.Lock()
		defer c.driven.mu.Unlock()
	}
	ev, n, err := c.proto.Next(c.in[c.r:c.w])
	c.r += n
	c.used += int64(n)
	return ev, err
}

// wait decides how to wait for more input.
func (c *conn) wait() ([]byte, transport.Next) {
	phase := c.proto.Phase()
	switch {
	case phase == h1.PhaseBody:
		return c.out, transport.Leave
	case len(c.out) > 0: // once it is written we park
		c.resting = phase == h1.PhaseIdle && c.r == c.w && c.used == c.mark
		return c.out, transport.More
	default:
		return nil, c.rest(phase)
	}
}

// rest is how a connection waits that has nothing to say.
func (c *conn) rest(phase h1.Phase) transport.Next {
	switch {
	case phase == h1.PhaseIdle && c.waiting != h1.PhaseIdle:
		c.until = after(c.now, c.lst.limits.IdleTimeout)
		if soon := c.now + napTime; c.until == 0 || c.until > soon {
			c.expect(soon, alarmNap)
		} else {
			c.expect(c.until, alarmEnd)
		}
		c.active = false
		c.srv.connState(c.nc, http.StateIdle)
	case phase == h1.PhaseHead && c.waiting != h1.PhaseHead:
		c.until = after(c.srv.age(), c.lst.limits.HeadTimeout)
		c.expect(c.until, alarmEnd)
	}
	c.waiting = phase
	if phase == h1.PhaseIdle && c.r == c.w && c.used == c.mark {
		c.release()
		if c.pumper != nil && !c.small && c.served > 0 { // after the first request, at once
			c.small, c.napping = true, true
			return transport.Leave
		}
	}
	return transport.Park
}

// release gives back what is borrowed; no exchange is going on. The protocol's state
// goes with it: between requests it is that of a new connection.
func (c *conn) release() {
	w := c.work
	c.work = nil
	c.taken += w.used
	w.r, w.w, w.used, w.mark, w.out = 0, 0, 0, 0, w.out[:0]
	if len(w.in) <= 4*inputSize && cap(w.out) <= 4*batchSize {
		works.Put(w)
	}
}

// resume finishes the exchange whose body is still arriving, or which a Drive
// answer has taken over. It reports whether the connection goes on.
func (c *conn) resume() bool {
	c.out = c.out[:0] // has been written
	if c.driven == nil {
		c.req.body.more = (*arriving)(c)
		c.answer()
	}
	if c.driven != nil && !c.runDriven() {
		return false
	}
	if c.broken || c.flush() != nil || !c.drain() {
		return false
	}
	c.now = c.srv.age()
	return true
}

// drain reads what the handler left of the body, so that the next request can be
// found behind it (RFC 9112 9.3).
func (c *conn) drain() bool {
	for left := c.lst.limits.MaxUnread; c.proto.Phase() == h1.PhaseDrain; {
		ev, err := c.next()
		left -= int64(len(ev.Data))
		if err != nil || left < 0 && c.lst.limits.MaxUnread >= 0 || ev.Kind == h1.EventNeedData && c.fill() != nil {
			return false // the response is out, and nobody would read another
		}
	}
	return !c.proto.ShouldClose()
}

// wake ends a parked connection, hurries a lingering one, and tells a busy one
// that this exchange is its last. It is called with Server.mu held.
func (c *conn) wake() {
	was := c.state.Or(stateDrain)
	if c.pumper != nil {
		c.pumper.Wake()
	}
	switch {
	case was&stateParked != 0:
		_ = c.nc.SetReadDeadline(longAgo)
	case was&stateLinger != 0:
		_ = c.nc.SetReadDeadline(time.Now().Add(drainLinger))
	}
}
