package transporttest

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/transport"
)

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
