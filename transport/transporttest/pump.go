package transporttest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
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
