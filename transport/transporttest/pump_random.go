package transporttest

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"postern/transport"
)

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
