package server_test

import (
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"postern/server"
	"postern/transport"
	"postern/transport/tcp"
)

// marked is a connection that says when it is freed.
type marked struct{ transport.Pumper }

type markedListener struct {
	*tcp.Listener
	freed chan bool
}

func (l markedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	m := &marked{transport.PumperOf(c)}
	runtime.AddCleanup(m, func(freed chan bool) { freed <- true }, l.freed)
	return m, nil
}

// A connection that has ended is freed, though the goroutine that served it may wait
// for another: the server is not idle.
func TestEndedConnectionIsFreed(t *testing.T) {
	ln, err := tcp.Listen(tcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	freed := make(chan bool, 2)
	s := server.New(app, server.Config{Log: quiet()})
	go s.Serve(markedListener{ln, freed})
	defer s.Close()
	ask := func(c net.Conn) {
		t.Helper()
		_ = c.SetDeadline(time.Now().Add(patience)) // failing, reading does
		io.WriteString(c, request)
		if n, err := c.Read(make([]byte, 4096)); n == 0 || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
	var conns [2]net.Conn
	for i := range conns {
		if conns[i], err = tcp.Dial(t.Context(), tcp.Config{Addr: ln.Addr().String()}); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
		ask(conns[i])
	}
	conns[1].Close()
	for range 1000 {
		ask(conns[0])
		runtime.GC()
		select {
		case <-freed:
			return
		case <-time.After(time.Millisecond):
		}
	}
	t.Error("the connection is still in memory")
}
