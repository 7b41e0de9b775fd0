package transporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/transport"
)

// RunPump runs, as subtests, what a transport promises whose accepted connections
// can drive: transport.PumperOf. The deadline of a read and what a Watcher tells are not
// in it.
func RunPump(t *testing.T, open Open) {
	for _, c := range pumpCases {
		t.Run(c.name, func(t *testing.T) { c.check(t, open) })
	}
}

var pumpCases = []struct {
	name  string
	check func(testing.TB, Open)
}{
	{"answers", pumpAnswers},
	{"request and end together on a fresh connection", func(t testing.TB, open Open) { pumpSpentEdge(t, open, false) }},
	{"request and end together on a parked connection", func(t testing.TB, open Open) { pumpSpentEdge(t, open, true) }},
	{"more steps after the end", pumpMoreAfterEnd},

	{"wake while parked", pumpWakeParked},
	{"wake during a step", pumpWakeDuringStep},
	{"wake before and after", pumpWakeBeforeAndAfter},
	{"no wake is lost", pumpEveryWake},
	{"wakes among bytes", pumpWakesAmongBytes},
	{"wake and leave at once", pumpWakeAndLeave},

	{"rest", pumpRest},
	{"rest, wake and close", pumpRestEnds},

	{"close while parked", pumpCloseParked},
	{"close during a step", pumpCloseDuringStep},
	{"close within a step", pumpCloseWithinStep},
	{"close and wake at once", pumpCloseAndWake},
	{"a step that panics or exits", pumpStepUnwinds},

	{"leave and come back", pumpLeave},
	{"leave with bytes left over", pumpLeftOver},
	{"a deadline is taken away", pumpDeadline},
	{"a peer that does not read", pumpShortWrite},
	{"a peer that never reads", pumpSlowFails},
	{"random exchanges", pumpRandom},
}

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

func pumpAnswers(t testing.TB, open Open) {
	client, server := pumpPair(t, open)
	send(t, client, "before it begins")
	e := echoing(t)
	e.size = 3 // many reads
	pumping := pump(server, e)
	receive(t, client, "before it begins")
	for range 100 {
		send(t, client, "abcdefghi") // a whole number of buffers
		receive(t, client, "abcdefghi")
		send(t, client, "x")
		receive(t, client, "x")
	}
	client.CloseWrite()
	wantNext(t, pumping, transport.Close)
	if err := server.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	receiveEnd(t, client)
}

// pumpSpentEdge: a request and the end of sending that come at once raise one edge
// of readiness. Who has read the request and waits must learn of the end.
func pumpSpentEdge(t testing.TB, open Open, parked bool) {
	const rounds, quick, mayBeSlow = 200, 200 * time.Millisecond, 10
	ln, dial := start(t, open)
	slow := 0
	for i := range rounds {
		client, s := connect(t, ln, dial)
		server := asPumper(t, s)
		var pumping <-chan result[transport.Next]
		if parked {
			pumping = pump(server, echoing(t))
			park(t, client)
		}
		began := time.Now()
		send(t, client, "request")
		client.CloseWrite()
		if !parked {
			if i%2 == 0 { // both are here before it begins, or perhaps not
				time.Sleep(100 * time.Microsecond)
			}
			pumping = pump(server, echoing(t))
		}
		receive(t, client, "request")
		wantNext(t, pumping, transport.Close)
		server.Close()
		receiveEnd(t, client)
		if time.Since(began) > quick {
			slow++ // a loaded machine
		}
		client.Close()
	}
	if slow > mayBeSlow {
		t.Errorf("%d of %d took more than %v", slow, rounds, quick)
	}
}

// pumpMoreAfterEnd: the peer has only finished sending, and gets all answers.
func pumpMoreAfterEnd(t testing.TB, open Open) {
	client, server := pumpPair(t, open)
	left := 3
	pumping := pump(server, &engine{t: t, step: func(in []byte, end bool) ([]byte, transport.Next) {
		switch {
		case !end && left == 3:
			return nil, transport.Park
		case left == 0:
			return []byte("."), transport.Park // of which nothing can come
		}
		left--
		return []byte("more "), transport.More
	}})
	client.CloseWrite()
	receive(t, client, "more more more .")
	wantNext(t, pumping, transport.Close)
}

func pumpWakeParked(t testing.TB, open Open) {
	client, server := pumpPair(t, open)
	e := echoing(t)
	for range 100 {
		pumping := pump(server, e.again())
		park(t, client)
		server.Wake()
		wantNext(t, pumping, transport.Park)
	}
}

func pumpWakeDuringStep(t testing.TB, open Open) {
	client, server := pumpPair(t, open)
	steps := 0
	pumping := pump(server, &engine{t: t, step: func(in []byte, end bool) ([]byte, transport.Next) {
		switch {
		case in != nil:
			server.Wake()
			steps = 3
			return in, transport.More
		case steps > 0:
			steps--
			return []byte{'0' + byte(steps)}, transport.More
		}
		return nil, transport.Park
	}})
	send(t, client, "x")
	wantNext(t, pumping, transport.Park)
	receive(t, client, "x210")
}

func pumpWakeBeforeAndAfter(t testing.TB, open Open) {
	client, server := pumpPair(t, open)
	server.Wake()
	server.Wake()
	wantNext(t, pump(server, echoing(t)), transport.Park) // and both are spent
	leave := &engine{t: t, step: func(in []byte, end bool) ([]byte, transport.Next) {
		if in == nil {
			return nil, transport.Park
		}
		return in, transport.Leave
	}}
	pumping := pump(server, leave)
	send(t, client, "a")
	wantNext(t, pumping, transport.Leave)
	server.Wake()
	receive(t, client, "a")
	reading := async(func() (int, error) { return server.Read(make([]byte, 10)) })
	time.Sleep(time.Millisecond) // it waits, by now
	server.Wake()
	send(t, client, "b")
	if n, err := await(t, "Read", reading); n != 1 || err != nil {
		t.Errorf("Read after Wake = %d, %v, want 1, <nil>", n, err)
	}
	wantNext(t, pump(server, leave.again()), transport.Park)
	server.Close()
	server.Wake()
}

// pumpEveryWake: whenever it comes, before, while it waits or about to.
func pumpEveryWake(t testing.TB, open Open) {
	_, server := pumpPair(t, open)
	e := echoing(t)
	for range 2000 {
		pumping := pump(server, e.again())
		for range rand.IntN(2000) { // about as long as it takes to start
		}
		if rand.IntN(4) == 0 {
			runtime.Gosched()
		}
		server.Wake()
		wantNext(t, pumping, transport.Park)
	}
}

func pumpWakesAmongBytes(t testing.TB, open Open) {
	const size, together = 50_000, 200
	client, server := pumpPair(t, open)
	stop := make(chan struct{})
	var wakers sync.WaitGroup
	for range 4 {
		wakers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					server.Wake()
					runtime.Gosched()
				}
			}
		})
	}
	var got []byte
	var woken atomic.Int64
	e := &engine{t: t}
	e.step = func(in []byte, end bool) ([]byte, transport.Next) {
		got = append(got, in...)
		if len(got) == size || end {
			return nil, transport.Leave
		}
		return in[:0], transport.Park
	}
	sent := random(1, size)
	go func() {
		for rest, i := sent, int64(0); len(rest) > 0; i++ {
			for i < together && woken.Load() < i { // some of each
				runtime.Gosched()
			}
			n, err := client.Write(rest[:min(len(rest), 1+rand.IntN(100))])
			if err != nil {
				t.Errorf("write: %v", err)
				return
			}
			rest = rest[n:]
		}
	}()
	served := async(func() (transport.Next, error) {
		for {
			next := server.Pump(e.again(), writeTo(server))
			if next != transport.Park {
				return next, nil
			}
			woken.Add(1)
		}
	})
	wantNext(t, served, transport.Leave)
	close(stop)
	wakers.Wait()
	if !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes arrived, or others", len(got), len(sent))
	}
	// What the wakes have done to deadlines is undone.
	reading := async(func() (int, error) { return server.Read(make([]byte, 10)) })
	time.Sleep(time.Millisecond)
	send(t, client, "z")
	if n, err := await(t, "Read", reading); n != 1 || err != nil {
		t.Errorf("Read afterwards = %d, %v, want 1, <nil>", n, err)
	}
}

// pumpWakeAndLeave: a wake that comes with the bytes that make it leave has no
// effect on ordinary reads.
func pumpWakeAndLeave(t testing.TB, open Open) {
	client, server := pumpPair(t, open)
	e := &engine{t: t, step: func(in []byte, end bool) ([]byte, transport.Next) {
		if in == nil {
			return nil, transport.Park
		}
		return nil, transport.Leave
	}}
	for range 500 {
		pumping := pump(server, e.again())
		time.Sleep(20 * time.Microsecond) // it is parked, mostly
		waking := async(func() (int, error) { server.Wake(); return 0, nil })
		send(t, client, "x")
		for next := transport.Park; next == transport.Park; pumping = pump(server, e.again()) {
			if next, _ = await(t, "Pump", pumping); next == transport.Leave {
				break
			}
		}
		await(t, "Wake", waking)
		send(t, client, "y")
		if n, err := server.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Fatalf("Read = %d, %v, want 1, <nil>", n, err)
		}
	}
}

// random returns n bytes that follow from seed.
func random(seed byte, n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

// pumpRest: a rest ends with bytes or with the end, and reads none of it.
func pumpRest(t testing.TB, open Open) {
	ln, dial := start(t, open)
	for i := range 200 {
		client, s := connect(t, ln, dial)
		server := asPumper(t, s)
		if i%2 == 0 { // it may rest first of all
			server.Wake()
			wantNext(t, pump(server, echoing(t)), transport.Park)
		}
		if i%4 < 2 {
			server.SetReadDeadline(time.Now().Add(-time.Second)) // taken away
		}
		rested := async(func() (int, error) { server.Rest(); return 0, nil })
		if i%3 == 0 {
			time.Sleep(100 * time.Microsecond)
		}
		select {
		case <-rested:
			t.Fatal("Rest ended for no reason")
		default:
		}
		want := ""
		if i%5 > 0 {
			want = "request"
			send(t, client, want)
		}
		client.CloseWrite()
		await(t, "Rest", rested)
		await(t, "another Rest", async(func() (int, error) { server.Rest(); return 0, nil }))
		pumping := pump(server, echoing(t))
		receive(t, client, want)
		wantNext(t, pumping, transport.Close)
		server.Close()
		client.Close()
	}
}

func pumpRestEnds(t testing.TB, open Open) {
	for range 100 {
		client, server := pumpPair(t, open)
		for range 5 {
			rested := async(func() (int, error) { server.Rest(); return 0, nil })
			for range rand.IntN(5000) {
			}
			server.Wake()
			await(t, "Rest", rested)
		}
		reading := async(func() (int, error) { return server.Read(make([]byte, 10)) })
		send(t, client, "x")
		if n, err := await(t, "Read", reading); n != 1 || err != nil {
			t.Fatalf("Read = %d, %v, want 1, <nil>", n, err)
		}
		rested := async(func() (int, error) { server.Rest(); return 0, nil })
		for range rand.IntN(5000) {
		}
		if err := server.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		await(t, "Rest", rested)
		receiveEnd(t, client)
		server.Rest()
		wantNext(t, pump(server, echoing(t)), transport.Close)
	}
}

func pumpCloseParked(t testing.TB, open Open) {
	for range 50 {
		client, server := pumpPair(t, open)
		pumping := pump(server, echoing(t))
		park(t, client)
		if err := server.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := server.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v, want net.ErrClosed", err)
		}
		receiveEnd(t, client)
		wantNext(t, pumping, transport.Close)
		if err := server.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Close after Pump: %v, want net.ErrClosed", err)
		}
		wantNext(t, pump(server, echoing(t)), transport.Close)
		server.Wake()
	}
}

// pumpCloseDuringStep: whoever closes does not wait for the handler, and the peer
// is cut off at once.
func pumpCloseDuringStep(t testing.TB, open Open) {
	client, server := pumpPair(t, open)
	entered, release := make(chan bool), make(chan bool)
	pumping := pump(server, &engine{t: t, step: func(in []byte, end bool) ([]byte, transport.Next) {
		if in != nil {
			entered <- true
			<-release
			return []byte("too late"), transport.Park
		}
		return nil, transport.Park
	}})
	send(t, client, "x")
	<-entered
	closed := async(func() (int, error) { return 0, server.Close() })
	if _, err := await(t, "Close", closed); err != nil {
		t.Errorf("Close: %v", err)
	}
	receiveEnd(t, client)
	if _, err := server.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write: %v, want net.ErrClosed", err)
	}
	release <- true
	wantNext(t, pumping, transport.Close)
}

func pumpCloseWithinStep(t testing.TB, open Open) {
	for _, next := range []transport.Next{transport.Park, transport.More, transport.Leave, transport.Close} {
		client, server := pumpPair(t, open)
		pumping := pump(server, &engine{t: t, step: func(in []byte, end bool) ([]byte, transport.Next) {
			if in == nil {
				return nil, transport.Park
			}
			if err := server.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			return []byte("too late"), next
		}})
		send(t, client, "x")
		wantNext(t, pumping, transport.Close)
		receiveEnd(t, client)
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read: %v, want net.ErrClosed", err)
		}
	}
}

func pumpCloseAndWake(t testing.TB, open Open) {
	ln, dial := start(t, open)
	for range 200 {
		client, s := connect(t, ln, dial)
		server := asPumper(t, s)
		pumping := pump(server, echoing(t))
		var others sync.WaitGroup
		for range 2 {
			others.Go(server.Wake)
			others.Go(func() { server.Close() })
		}
		others.Go(func() { client.Close() })
		if next, _ := await(t, "Pump", pumping); next != transport.Close && next != transport.Park {
			t.Errorf("Pump = %s", nexts[next])
		}
		others.Wait()
		wantNext(t, pump(server, echoing(t)), transport.Close)
	}
}

// pumpStepUnwinds: a handler may panic, and end its goroutine (t.FailNow does). The
// connection can be closed like any other.
func pumpStepUnwinds(t testing.TB, open Open) {
	for _, unwind := range []func(){runtime.Goexit, func() { panic("on purpose") }} {
		client, server := pumpPair(t, open)
		files := openFiles()
		ended := async(func() (int, error) {
			done := make(chan bool)
			go func() {
				defer close(done)
				defer func() { recover() }()
				server.Pump(&engine{t: t, step: func(in []byte, end bool) ([]byte, transport.Next) {
					if in != nil {
						unwind()
					}
					return nil, transport.Park
				}}, writeTo(server))
			}()
			<-done
			return 0, server.Close()
		})
		send(t, client, "x")
		if _, err := await(t, "Close", ended); err != nil {
			t.Errorf("Close: %v", err)
		}
		receiveEnd(t, client)
		if left := openFiles(); files > 0 && left >= files {
			t.Errorf("%d files are open after Close, want fewer than %d", left, files)
		}
	}
}

// pumpLeave goes to and fro between pumping and ordinary reads.
func pumpLeave(t testing.TB, open Open) {
	client, server := pumpPair(t, open)
	e := &engine{t: t, step: func(in []byte, end bool) ([]byte, transport.Next) {
		if in == nil {
			return nil, transport.Park
		}
		return in, transport.Leave
	}}
	for range 20 {
		pumping := pump(server, e.again())
		send(t, client, "pumped")
		wantNext(t, pumping, transport.Leave)
		receive(t, client, "pumped")
		server.SetReadDeadline(time.Now().Add(time.Millisecond))
		wantReadTimeout(t, server)
		server.SetReadDeadline(time.Now().Add(patience))
		send(t, client, "read")
		receive(t, server, "read")
		send(t, server, "answer")
		receive(t, client, "answer")
	}
	pumping := pump(server, e.again())
	send(t, client, "last")
	wantNext(t, pumping, transport.Leave)
	client.CloseWrite()
	receiveEnd(t, server)
}

// pumpLeftOver: a Pump begins with a step of its own, for bytes it has kept.
func pumpLeftOver(t testing.TB, open Open) {
	client, server := pumpPair(t, open)
	var kept []byte
	e := &engine{t: t, step: func(in []byte, end bool) ([]byte, transport.Next) {
		kept = append(kept, in...)
		if len(kept) < 3 {
			return nil, transport.Park
		}
		out := kept[:3]
		kept = kept[3:]
		return out, transport.Leave
	}}
	send(t, client, "abcdefgh")
	for _, want := range []string{"abc", "def"} {
		wantNext(t, pump(server, e.again()), transport.Leave)
		receive(t, client, want)
	}
	pumping := pump(server, e.again())
	send(t, client, "i")
	wantNext(t, pumping, transport.Leave)
	receive(t, client, "ghi")
}

// pumpDeadline: a read deadline set before is taken away, for good.
func pumpDeadline(t testing.TB, open Open) {
	client, server := pumpPair(t, open)
	e := &engine{t: t, step: func(in []byte, end bool) ([]byte, transport.Next) {
		if in == nil {
			return nil, transport.Park
		}
		return in, transport.Leave
	}}
	for range 3 {
		server.SetReadDeadline(time.Now().Add(-time.Second))
		pumping := pump(server, e.again())
		send(t, client, "x")
		wantNext(t, pumping, transport.Leave)
		receive(t, client, "x")
		reading := async(func() (int, error) { return server.Read(make([]byte, 10)) })
		time.Sleep(time.Millisecond)
		send(t, client, "y")
		if n, err := await(t, "Read", reading); n != 1 || err != nil {
			t.Fatalf("Read = %d, %v, want 1, <nil>", n, err)
		}
	}
	// Nor does one that would come later.
	server.SetReadDeadline(time.Now().Add(soon))
	pumping := pump(server, e.again())
	send(t, client, "x")
	wantNext(t, pumping, transport.Leave)
	receive(t, client, "x")
	reading := async(func() (int, error) { return server.Read(make([]byte, 10)) })
	time.Sleep(2 * soon)
	send(t, client, "y")
	if n, err := await(t, "Read", reading); n != 1 || err != nil {
		t.Fatalf("Read = %d, %v, want 1, <nil>", n, err)
	}
	// One that is set while it waits ends nothing.
	pumping = pump(server, e.again())
	time.Sleep(time.Millisecond)
	server.SetReadDeadline(time.Now().Add(-time.Second))
	send(t, client, "z")
	wantNext(t, pumping, transport.Leave)
	receive(t, client, "z")
}

// pumpShortWrite: what the peer does not take at once goes to slow, in order and
// whole.
func pumpShortWrite(t testing.TB, open Open) {
	const size = 16 << 20
	client, server := pumpPair(t, open)
	out := random(2, size)
	steps := 0
	e := &engine{t: t, step: func(in []byte, end bool) ([]byte, transport.Next) {
		if steps++; steps <= 2 {
			return out[(steps-1)*size/2 : steps*size/2], transport.More
		}
		return []byte("."), transport.Leave
	}}
	called := make(chan int, 1)
	pumping := async(func() (transport.Next, error) {
		return server.Pump(e, func(rest []byte) error {
			select {
			case called <- len(rest):
			default: // may be called for every record
			}
			return writeTo(server)(rest)
		}), nil
	})
	if n, _ := await(t, "slow", async(func() (int, error) { return <-called, nil })); n > size/2 {
		t.Errorf("slow got %d bytes of %d", n, size/2)
	}
	expect(t, client)
	got := make([]byte, size+1)
	if n, err := io.ReadFull(client, got); err != nil {
		t.Fatalf("%d bytes came, %v", n, err)
	}
	if !bytes.Equal(got[:size], out) || got[size] != '.' {
		t.Error("other bytes came than were sent")
	}
	wantNext(t, pumping, transport.Leave)
}

// pumpSlowFails: an error of slow ends the pumping, whatever Step had asked for.
func pumpSlowFails(t testing.TB, open Open) {
	for _, next := range []transport.Next{transport.Park, transport.More, transport.Leave} {
		_, server := pumpPair(t, open)
		calls := 0
		e := &engine{t: t, step: func([]byte, bool) ([]byte, transport.Next) {
			return make([]byte, 16<<20), next
		}}
		pumping := async(func() (transport.Next, error) {
			return server.Pump(e, func([]byte) error {
				calls++
				server.SetWriteDeadline(time.Now().Add(soon))
				n, err := server.Write(make([]byte, 64<<20))
				if n == 64<<20 || !isTimeout(err) {
					t.Errorf("Write = %d, %v, want a timeout", n, err)
				}
				return err
			}), nil
		})
		wantNext(t, pumping, transport.Close)
		if calls != 1 {
			t.Errorf("slow was called %d times", calls)
		}
	}
}

// pumpRandom has many connections exchange bytes at random, cut anyhow, with
// half-closes, breaks, wakes and leaves, and compares what comes back with what
// must.
func pumpRandom(t testing.TB, open Open) {
	const conns = 64
	ln, dial := start(t, open)
	seed := rand.Uint64()
	var all []transport.Pumper
	var clients, servers sync.WaitGroup
	for i := range conns {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		client, err := dial(ctx)
		cancel()
		if err != nil {
			t.Fatalf("dial: %v", err)
		}
		s, err := ln.Accept()
		if err != nil {
			t.Fatalf("accept: %v", err)
		}
		server := asPumper(t, s)
		all = append(all, server)
		servers.Go(func() { serveRandom(t, server, rand.New(rand.NewPCG(seed, uint64(2*i)))) })
		clients.Go(func() { askRandom(t, asDuplex(t, client), rand.New(rand.NewPCG(seed, uint64(2*i+1)))) })
	}
	stop := make(chan bool)
	waking := async(func() (int, error) {
		r := rand.New(rand.NewPCG(seed, 1<<32))
		for {
			select {
			case <-stop:
				return 0, nil
			case <-time.After(time.Duration(r.IntN(50)) * time.Microsecond):
				all[r.IntN(conns)].Wake()
			}
		}
	})
	await(t, "clients", async(func() (int, error) { clients.Wait(); return 0, nil }))
	await(t, "servers", async(func() (int, error) { servers.Wait(); return 0, nil }))
	close(stop)
	await(t, "waker", waking)
	if t.Failed() {
		t.Logf("seed %d", seed)
	}
}

// answerTo is what the server sends for the byte b at the given place of what the
// client has sent.
func answerTo(b byte, at int) byte { return b ^ byte(at) ^ byte(at>>8) }

// serveRandom answers with answerTo, sooner or later.
func serveRandom(t testing.TB, server transport.Pumper, r *rand.Rand) {
	defer server.Close()
	at := 0
	answer := func(in []byte) []byte {
		out := make([]byte, len(in))
		for i, b := range in {
			out[i] = answerTo(b, at)
			at++
		}
		return out
	}
	var due []byte // answers kept back
	e := &engine{t: t}
	e.step = func(in []byte, end bool) ([]byte, transport.Next) {
		due = append(due, answer(in)...)
		n := len(due)
		next := transport.Park
		switch r.IntN(6) {
		case 0:
			n = r.IntN(n + 1)
			next = transport.More
		case 1:
			next = transport.Leave
		}
		if end {
			n, next = len(due), transport.Park // which is Close now
		}
		out := due[:n]
		due = due[n:]
		return out, next
	}
	for {
		e.size = 1 + r.IntN(300)
		switch server.Pump(e.again(), writeTo(server)) {
		case transport.Close:
			return
		case transport.Park:
			if r.IntN(2) == 0 {
				server.Rest()
			}
			continue
		}
		// Left: ordinary reads and writes for a while.
		buf := make([]byte, 100)
		for range r.IntN(3) {
			server.SetReadDeadline(time.Now().Add(time.Duration(r.IntN(200)) * time.Microsecond))
			n, err := server.Read(buf)
			if _, werr := server.Write(append(due, answer(buf[:n])...)); werr != nil {
				return
			}
			due = nil
			if err != nil && !isTimeout(err) {
				return
			}
		}
	}
}

// askRandom sends bytes and compares what comes back. Some clients finish, and get
// everything; some break off.
func askRandom(t testing.TB, client duplex, r *rand.Rand) {
	defer client.Close()
	expect(t, client)
	sent := make([]byte, 2000+r.IntN(8000))
	for i := range sent {
		sent[i] = byte(r.Uint32())
	}
	stop := len(sent)
	breaks := r.IntN(4) == 0
	if breaks {
		stop = r.IntN(stop)
	}
	seen, buf := 0, make([]byte, 500)
	read := func() error {
		n, err := client.Read(buf)
		for _, b := range buf[:n] {
			if seen >= len(sent) || b != answerTo(sent[seen], seen) {
				return fmt.Errorf("%q is not the answer to byte %d", b, seen)
			}
			seen++
		}
		return err
	}
	for at := 0; at < stop; {
		n := min(1+r.IntN(1+r.IntN(200)), stop-at)
		if _, err := client.Write(sent[at : at+n]); err != nil {
			t.Errorf("write: %v", err)
			return
		}
		at += n
		for all := r.IntN(3) == 0; all && seen < at; {
			if err := read(); err != nil {
				t.Errorf("after %d answers to %d bytes: %v", seen, at, err)
				return
			}
		}
	}
	if breaks {
		if l, ok := client.(interface{ SetLinger(int) error }); ok && r.IntN(2) == 0 {
			l.SetLinger(0)
		}
		return
	}
	client.CloseWrite()
	var err error
	for err == nil {
		err = read()
	}
	if err != io.EOF || seen != len(sent) {
		t.Errorf("%d answers to %d bytes, then %v", seen, len(sent), err)
	}
}
