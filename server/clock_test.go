package server_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
	"postern/transport"
	"postern/transport/memory"
)

// A drivable connection in memory pumps, so the clock looks after it, in a bubble.
type drivable struct {
	net.Conn
	peek  []byte // read by await, and not delivered
	woken atomic.Bool
}

var _ transport.Pumper = (*drivable)(nil)

// await waits for a byte, and reports whether it was not woken instead.
func (d *drivable) await() (err error, woken bool) {
	var b [1]byte
	if len(d.peek) == 0 && !d.woken.Load() {
		var n int
		n, err = d.Read(b[:])
		d.peek = append(d.peek, b[:n]...)
	}
	if d.woken.Swap(false) {
		return nil, true
	}
	return err, false
}

// Pump implements transport.Pumper.
func (d *drivable) Pump(p transport.Pump, slow func([]byte) error) transport.Next {
	for n := 0; ; {
		out, next := p.Step(n)
		if n = 0; len(out) > 0 && slow(out) != nil {
			return transport.Close
		}
		switch next {
		case transport.More:
			continue
		case transport.Leave, transport.Close:
			return next
		}
		err, woken := d.await()
		d.SetReadDeadline(time.Time{})
		switch {
		case woken:
			return transport.Park
		case err != nil:
			n = -1
		default:
			n = copy(p.Buffer(), d.peek)
			d.peek = d.peek[:0]
		}
	}
}

// Rest implements transport.Pumper.
func (d *drivable) Rest() {
	if _, woken := d.await(); woken {
		d.woken.Store(true) // for Pump
	}
}

// Wake implements transport.Pumper.
func (d *drivable) Wake() {
	d.woken.Store(true)
	d.SetReadDeadline(time.Unix(1, 0))
}

type drivables struct{ *memory.Listener }

func (l drivables) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &drivable{Conn: c}, nil
}

// The clock ends what is due within a few ticks, also behind a sleep, and while
// requests keep it awake; one that sleeps is woken for shorter timeouts.
func TestClock(t *testing.T) {
	const (
		early = 100 * time.Millisecond // by which the clock may be behind
		late  = 110 * time.Millisecond // a tick, and the test itself
	)
	synctest.Test(t, func(t *testing.T) {
		s := server.New(app, server.Config{Log: quiet(), Limits: server.Limits{
			FirstByteTimeout: 2 * time.Minute, HeadTimeout: 10 * time.Second, IdleTimeout: time.Minute}})
		defer s.Close()
		listen := func(l server.Limits) *memory.Listener {
			ln := memory.Listen(memory.Config{})
			go s.Serve(server.Listener{Listener: drivables{ln}, Limits: l})
			synctest.Wait()
			return ln
		}
		// lives returns what a client reads that sends in, and how long that takes.
		lives := func(ln *memory.Listener, in string) (string, time.Duration) {
			c, err := ln.Dial(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			began := time.Now()
			io.WriteString(c, in)
			out, err := io.ReadAll(c)
			if err != nil {
				t.Error(err)
			}
			return string(out), time.Since(began)
		}
		check := func(ln *memory.Listener, in, want string, timeout time.Duration) {
			t.Helper()
			if got, took := lives(ln, in); !strings.Contains(got, want) || took < timeout-early || took > timeout+late {
				t.Errorf("%q: got %q after %v, want %q after %v", in, got, took, want, timeout)
			}
		}
		long := listen(server.Limits{})
		for range 2 { // the second finds a clock that has stopped
			check(long, "", "", 2*time.Minute)
			check(long, "GET ", "408", 10*time.Second)
			check(long, request, "hello", time.Minute)
			check(long, request+"G", "408", 10*time.Second)
			time.Sleep(time.Hour)
		}

		busy, err := long.Dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		stop := make(chan bool)
		go func() {
			defer busy.Close()
			for b := make([]byte, 4096); ; {
				select {
				case <-stop:
					return
				case <-time.After(40 * time.Millisecond):
					io.WriteString(busy, request)
					busy.Read(b)
				}
			}
		}()
		check(long, "", "", 2*time.Minute)
		check(long, request, "hello", time.Minute)
		close(stop)

		go check(long, "", "", 2*time.Minute)
		time.Sleep(time.Minute) // the clock sleeps
		check(listen(server.Limits{FirstByteTimeout: 200 * time.Millisecond}), "", "", 200*time.Millisecond)
		time.Sleep(time.Hour)
	})
}
