package socket

import (
	"os"
	"syscall"
	"time"

	"postern/transport"
)

// Bits of Conn.state.
const (
	parked uint32 = 1 << iota // Pump waits for readiness
	woken                     // Wake was called
	ended                     // the hang-up set has an event: read until nothing is left
	joined                    // to the hang-up set
)

// Pump implements transport.Pumper. It runs p inside one RawConn.Read of the
// descriptor, whose callback returns false to wait: the runtime resets its note of
// readiness only when RawConn.Read is entered, so whatever arrives while the
// callback runs makes the next wait return at once. So waiting needs no read that
// finds nothing, and the callback may read and write without a word to the
// scheduler.
//
// Nothing in it may call Read, whose lock is held here. A handler that blocks holds
// up its own connection only.
func (c *Conn) Pump(p transport.Pump, slow func(rest []byte) error) (next transport.Next) {
	if !c.take() {
		return transport.Close
	}
	c.pump, c.slow, c.next, c.fresh, c.over = p, slow, transport.Park, true, false
	defer func() { // also when a handler panics or ends its goroutine
		c.pump, c.slow = nil, nil
		next = c.hand()
	}()
	if c.bare = c.file.Load() == nil; !c.bare {
		c.poll()
	} else if !c.turn(uintptr(c.fd)) {
		c.bare = false
		c.poll()
	}
	return c.next
}

// Rest implements transport.Pumper.
func (c *Conn) Rest() {
	if c.take() {
		c.bare = false
		c.poll()
		c.hand()
	}
}

// take begins to drive, if that is possible.
func (c *Conn) take() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.driving {
		return false
	}
	c.driving = true
	return true
}

// hand ends driving, and says how it went.
func (c *Conn) hand() transport.Next {
	c.mu.Lock()
	c.driving = false
	c.settle(parked) // a wake that came too late is for the next time
	closed := c.closed
	c.mu.Unlock()
	if closed {
		_ = c.release() // whoever called Close did not wait for its error
		return transport.Close
	}
	return c.next
}

// poll runs turn for as long as that wants to be called, and leaves in c.next how it
// ended.
func (c *Conn) poll() {
	if c.raw == nil {
		f, _ := c.polled() // it is open: nobody else closes it now
		c.raw, _ = f.SyscallConn()
		c.ready = c.turn
	}
	c.mu.Lock()
	timed := c.timed
	c.timed = false
	c.mu.Unlock()
	if timed {
		_ = c.file.Load().SetReadDeadline(time.Time{}) // if it fails, so does the read
	}
	for {
		err := c.raw.Read(c.ready)
		if err == nil {
			return
		}
		if !os.IsTimeout(err) { // the poller does not know it: out of memory
			c.next = transport.Close
			return
		}
		c.mu.Lock()
		c.moved = true // or the caller has set a deadline meanwhile: it goes too
		was := c.settle(parked | woken)
		c.mu.Unlock()
		if was&woken != 0 {
			c.next = transport.Park
			return
		}
	}
}

// turn is the callback. It goes on for as long as there is something to read or to
// answer; then it returns false to wait for more, or true when c.next says why the
// pumping ends.
func (c *Conn) turn(fd uintptr) (end bool) {
	c.state.And(^parked) // a deadline that was moved before this is settled before the next wait
	if c.pump == nil {
		return c.rest(fd)
	}
	return c.work(fd)
}

// rest is turn for Rest: it ends with whatever there is. That is looked at after a
// wait, too: the poller may have told only now of bytes that were read before.
func (c *Conn) rest(fd uintptr) (end bool) {
	for {
		known := c.state.Load() & ended
		if waiting(fd) {
			return true
		}
		c.state.And(^known) // nothing is left
		switch c.park() {
		case waits:
			return false
		case ends:
			return true
		}
	}
}

// work is turn for Pump.
func (c *Conn) work(fd uintptr) (end bool) {
	if c.fresh {
		c.fresh = false
		if c.step(fd, 0) {
			return true
		}
	}
	for {
		p := c.pump.Buffer()
		known := c.state.Load() & ended
		n, errno := recv(fd, p)
		switch {
		case errno == syscall.EAGAIN:
			c.state.And(^known) // nothing is left
			if c.step(fd, 0) {  // takes its buffer back
				return true
			}
		case errno != 0 || n == 0:
			c.over = true
			return c.step(fd, -1)
		default:
			if c.step(fd, n) {
				return true
			}
		}
		if n == len(p) {
			continue
		}
		// Drained: what arrives from here on makes the wait end.
		switch c.park() {
		case waits:
			return false
		case ends:
			c.next = transport.Park
			return true
		}
	}
}

// step hands n new bytes to the Pump and writes what comes of them. It reports
// whether the pumping ends, as c.next says.
func (c *Conn) step(fd uintptr, n int) (end bool) {
	for {
		out, next := c.pump.Step(n)
		if len(out) > 0 && !c.write(fd, out) {
			next = transport.Close
		}
		switch {
		case next == transport.More:
			n = 0
			continue
		case next != transport.Park:
			c.next = next
			return true
		case c.over: // nothing will ever come
			c.next = transport.Close
			return true
		}
		return false
	}
}

// write writes out, at once if the peer takes it. It reports whether all of it was
// written.
func (c *Conn) write(fd uintptr, out []byte) bool {
	n, errno := send(fd, out)
	switch errno {
	case 0:
		out = out[n:]
	case syscall.EAGAIN:
	default:
		return false
	}
	return len(out) == 0 || c.slow(out) == nil
}

// What park says.
type parking uint8

const (
	waits parking = iota // return false from the callback
	reads                // look for input once more
	ends                 // Wake was called
)

// park says whether the connection waits for readiness now. From its first wait on
// it is in the hang-up set.
func (c *Conn) park() parking {
	if c.bare {
		if c.state.And(^woken)&woken != 0 {
			return ends
		}
		return waits // for the poller; then all of it comes again
	}
	if c.state.Load()&joined == 0 {
		c.mu.Lock()
		_ = c.join()
		c.mu.Unlock()
	}
	if c.state.Or(parked)&(woken|ended) == 0 {
		return waits
	}
	c.mu.Lock()
	was := c.settle(parked | woken)
	c.mu.Unlock()
	if was&woken != 0 {
		return ends
	}
	return reads // a read that brings bytes does not settle it: the end comes after them
}

// settle clears bits of the state, returns what it was, and takes the deadline back
// that was moved. c.mu is held.
func (c *Conn) settle(bits uint32) (was uint32) {
	was = c.state.And(^bits)
	if c.moved {
		c.moved = false
		_ = c.file.Load().SetReadDeadline(time.Time{}) // if it fails, so does the read
	}
	return was
}

// stir sets a bit, and ends the wait of a connection that is parked. c.mu is held.
func (c *Conn) stir(bit uint32) {
	if c.state.Or(bit)&parked != 0 {
		c.moved = true
		_ = c.file.Load().SetReadDeadline(longAgo) // if it fails, nobody waits
	}
}

var longAgo = time.Unix(1, 0)

// Wake implements transport.Pumper.
func (c *Conn) Wake() {
	c.mu.Lock()
	c.stir(woken)
	c.mu.Unlock()
}
