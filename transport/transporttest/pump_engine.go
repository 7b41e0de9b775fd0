package transporttest

import (
	"bytes"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"postern/transport"
)

// An engine is a Pump that a case steers. It sees to it that the driver keeps to
// the order of calls, and that neither side uses what is not its own any more.
type engine struct {
	t testing.TB

	// step takes what came and says what goes out and what comes next. in is nil if
	// nothing was read.
	step func(in []byte, end bool) (out []byte, next transport.Next)

	size  int    // of the buffer; 0 is 512 bytes
	buf   []byte // lent to the driver; nil: not
	out   []byte // what the last Step returned
	first bool   // a Step came already
	last  bool   // the end was told
	busy  atomic.Bool
}

func (e *engine) enter(what string) (leave func()) {
	if !e.busy.CompareAndSwap(false, true) {
		e.t.Errorf("%s while another call goes on", what)
	}
	for i := range e.out {
		e.out[i] = '#' // its life is over
	}
	e.out = nil
	return func() { e.busy.Store(false) }
}

func (e *engine) Buffer() []byte {
	defer e.enter("Buffer")()
	switch {
	case e.buf != nil:
		e.t.Errorf("Buffer twice without a Step between")
	case e.last:
		e.t.Errorf("Buffer after the end")
	case !e.first:
		e.t.Errorf("Buffer before Step(0)")
	}
	size := e.size
	if size == 0 {
		size = 512
	}
	e.buf = make([]byte, size)
	return e.buf
}

func (e *engine) Step(n int) ([]byte, transport.Next) {
	defer e.enter("Step")()
	switch {
	case !e.first && n != 0:
		e.t.Errorf("the first Step has %d bytes, want 0", n)
	case n > len(e.buf):
		e.t.Errorf("Step(%d) after a Buffer of %d", n, len(e.buf))
		n = len(e.buf)
	case n < -1:
		e.t.Errorf("Step(%d)", n)
	case e.last && n != 0:
		e.t.Errorf("Step(%d) after the end", n)
	}
	e.first = true
	e.last = e.last || n < 0
	var in []byte
	if n > 0 {
		in = bytes.Clone(e.buf[:n])
	}
	e.buf = nil
	out, next := e.step(in, n < 0)
	e.out = bytes.Clone(out)
	return e.out, next
}

// again makes e ready for another Pump.
func (e *engine) again() *engine {
	e.first, e.last, e.buf = false, false, nil
	return e
}

// echoing is an engine that sends back what it gets, and ends at the end.
func echoing(t testing.TB) *engine {
	return &engine{t: t, step: func(in []byte, end bool) ([]byte, transport.Next) {
		if end {
			return nil, transport.Close
		}
		return in, transport.Park
	}}
}

// pumpPair is pair where the server pumps.
func pumpPair(t testing.TB, open Open) (client duplex, server transport.Pumper) {
	t.Helper()
	c, s := pair(t, open)
	return c, asPumper(t, s)
}

func asPumper(t testing.TB, c net.Conn) transport.Pumper {
	t.Helper()
	p := transport.PumperOf(c)
	if p == nil {
		t.Fatalf("%T is no transport.Pumper", c)
	}
	return p
}

// pump pumps in a goroutine of its own. What the peer does not take at once is
// written.
func pump(s transport.Pumper, e *engine) <-chan result[transport.Next] {
	return async(func() (transport.Next, error) { return s.Pump(e, writeTo(s)), nil })
}

func writeTo(c net.Conn) func([]byte) error {
	return func(rest []byte) error {
		_, err := c.Write(rest)
		return err
	}
}

var nexts = []string{transport.Park: "Park", transport.More: "More", transport.Leave: "Leave", transport.Close: "Close"}

func wantNext(t testing.TB, pumping <-chan result[transport.Next], want transport.Next) {
	t.Helper()
	if next, _ := await(t, "Pump", pumping); next != want {
		t.Fatalf("Pump = %s, want %s", nexts[next], nexts[want])
	}
}

// park lets s come to its wait, as far as one can from outside: it has answered,
// and had the time to go on.
func park(t testing.TB, client net.Conn) {
	t.Helper()
	send(t, client, "park")
	receive(t, client, "park")
	time.Sleep(100 * time.Microsecond)
}
