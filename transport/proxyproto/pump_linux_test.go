package proxyproto_test

import (
	"os"
	"testing"
	"time"

	"postern/transport"
	"postern/transport/proxyproto"
	"postern/transport/transporttest"
)

func TestPumpConformance(t *testing.T) { transporttest.RunPump(t, openTCP) }

// An echo sends back what comes, and ends when the peer does.
type echo struct{ buf [64]byte }

func (e *echo) Buffer() []byte { return e.buf[:] }

func (e *echo) Step(n int) ([]byte, transport.Next) {
	if n < 0 {
		return nil, transport.Close
	}
	return e.buf[:n], transport.Park
}

// async calls f, and returns what waits for it.
func async[T any](t *testing.T, f func() T) func() T {
	done := make(chan T, 1)
	go func() { done <- f() }()
	return func() T {
		t.Helper()
		select {
		case v := <-done:
			return v
		case <-time.After(patience):
			t.Fatal("it goes on")
			panic("unreachable")
		}
	}
}

// Header and request in one segment, or in two: Pump goes on where the header ends.
func TestPump(t *testing.T) {
	for _, cut := range []int{0, 10, len(line)} {
		client, server := pair(t, listenTCP(t), proxyproto.Config{})
		p := transport.PumperOf(server)
		next := async(t, func() transport.Next { return p.Pump(new(echo), nil) })
		send(t, client, line[:cut])
		send(t, client, line[cut:]+"hello")
		wantRead(t, client, "hello")
		send(t, client, "again")
		wantRead(t, client, "again")
		if got := p.RemoteAddr().String(); got != "192.0.2.1:1111" {
			t.Errorf("RemoteAddr() = %s", got)
		}
		client.Close()
		if got := next(); got != transport.Close {
			t.Errorf("Pump: %v, want Close", got)
		}
	}
}

// Wake ends a Pump and a Rest that wait for the header; what is there already is not
// lost, and neither is a Wake that comes before anybody waits.
func TestWakeWithinHeader(t *testing.T) {
	client, server := pair(t, listenTCP(t), proxyproto.Config{})
	p := transport.PumperOf(server)
	for i := range 4 {
		send(t, client, line[10*i:10*i+10])
		if i%2 == 0 {
			p.Wake()
		}
		ended := async(t, func() transport.Next {
			if i < 2 {
				return p.Pump(new(echo), nil)
			}
			p.Rest()
			return transport.Park
		})
		if i%2 == 1 {
			p.Wake()
		}
		if got := ended(); got != transport.Park {
			t.Errorf("Pump: %v, want Park", got)
		}
	}
	send(t, client, line[40:]+"hello")
	p.Rest() // for the request
	ended := async(t, func() transport.Next { return p.Pump(new(echo), nil) })
	wantRead(t, client, "hello")
	p.Wake()
	if got := ended(); got != transport.Park {
		t.Errorf("Pump: %v, want Park", got)
	}
	// Of a connection that is closed, Wake or not, Pump says so.
	_, server = pair(t, listenTCP(t), proxyproto.Config{})
	server.Close()
	p = transport.PumperOf(server)
	p.Wake()
	if got := p.Pump(new(echo), nil); got != transport.Close {
		t.Errorf("Pump once closed: %v, want Close", got)
	}
	// A Pump takes the read deadline away, in the header too.
	client, server = pair(t, listenTCP(t), proxyproto.Config{})
	server.SetReadDeadline(time.Unix(1, 0))
	async(t, func() transport.Next { return transport.PumperOf(server).Pump(new(echo), nil) })
	send(t, client, line+"hello")
	wantRead(t, client, "hello")
}

// What a connection of ours has beyond net.Conn, the wrapped one has.
func TestFastPaths(t *testing.T) {
	client, server := pair(t, listenTCP(t), proxyproto.Config{})
	send(t, client, line)
	p := server.(*proxyproto.Conn)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	file.WriteString("of a file")
	file.Seek(0, 0)
	if n, err := p.ReadFrom(file); n != 9 || err != nil {
		t.Errorf("ReadFrom: %d, %v", n, err)
	}
	wantRead(t, client, "of a file")
	if rc, err := p.SyscallConn(); err != nil || rc.Control(func(uintptr) {}) != nil {
		t.Errorf("SyscallConn: %v", err)
	}
	gone := make(chan bool, 2)
	if err := p.Watch(func(reset bool) { gone <- reset }); err != nil {
		t.Fatal(err)
	}
	if err := p.SetLinger(5); err != nil {
		t.Errorf("SetLinger: %v", err)
	}
	if err := p.CloseWrite(); err != nil {
		t.Errorf("CloseWrite: %v", err)
	}
	client.Close()
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("Watch tells nothing")
	}
}
