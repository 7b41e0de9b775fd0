package server_test

import (
	"io"
	"maps"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
	"postern/transport/memory"
	"postern/transport/tls"
)

// What a client does shows in the counts.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(r *server.Request) server.Response {
			if r.PathIs("/slow") {
				time.Sleep(30 * time.Millisecond)
			}
			return app(r)
		}, server.Config{Metrics: true, Limits: server.Limits{MaxBody: 10}})
		in := request + "GET /slow HTTP/1.1\r\n" + host + "\r\n" + "POST /echo HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello" +
			"HEAD / HTTP/1.1\r\n" + host + "\r\n" + "BREW / HTTP/1.1\r\n" + host + "\r\n" +
			"POST /copy HTTP/1.1\r\n" + host + "Content-Length: 7\r\n\r\n"
		out := talk(t, b.dial(t), in, "arrives")
		out += talk(t, b.dial(t), "GET /panic HTTP/1.1\r\n"+host+"\r\n")
		out += talk(t, b.dial(t), "POST /echo HTTP/1.1\r\n"+host+"Content-Length: 11\r\n\r\n")
		out += talk(t, b.dial(t), "no HTTP\r\n\r\n")
		synctest.Wait()
		m := b.Metrics()
		if want := (map[string]uint64{"GET": 3, "POST": 3, "HEAD": 1, "": 2}); !maps.Equal(m.Methods, want) {
			t.Errorf("methods %v, want %v", m.Methods, want)
		}
		if want := [6]uint64{2: 5, 4: 3, 5: 1}; m.Statuses != want {
			t.Errorf("statuses %v, want %v", m.Statuses, want)
		}
		if want := (map[int]uint64{400: 1, 413: 1, 500: 1}); !maps.Equal(m.Refused, want) {
			t.Errorf("refused %v, want %v", m.Refused, want)
		}
		sent := len(in) + len("arrives") + len("GET /panic HTTP/1.1\r\n"+host+"\r\n") +
			len("POST /echo HTTP/1.1\r\n"+host+"Content-Length: 11\r\n\r\n") + len("no HTTP\r\n\r\n")
		if m.BytesIn != uint64(sent) || m.BytesOut != uint64(len(out)) {
			t.Errorf("%d bytes in and %d out, want %d and %d", m.BytesIn, m.BytesOut, sent, len(out))
		}
		if m.Accepted != 4 || m.Conns != 0 || m.Panics != 1 || m.InFlight != 0 || m.Requests != 9 {
			t.Errorf("%+v", m)
		}
		n, slow := uint64(0), uint64(0)
		for i, c := range m.Durations.Counts {
			n += c
			if i < len(m.Durations.Bounds) && m.Durations.Bounds[i] == 50*time.Millisecond {
				slow = c
			}
		}
		if n != 9 || slow != 1 || m.Durations.Sum != 30*time.Millisecond || len(m.Durations.Counts) != len(m.Durations.Bounds)+1 {
			t.Errorf("durations %v", m.Durations)
		}
	})
}

// Without Config.Metrics there is what is rare.
func TestMetricsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, app, server.Config{})
		talk(t, b.dial(t), request+"GET /panic HTTP/1.1\r\n"+host+"\r\n")
		m := b.Metrics()
		if m.Panics != 1 || m.Accepted != 1 || m.Refused[500] != 1 {
			t.Errorf("%+v", m)
		}
		if len(m.Methods) != 0 || m.Statuses != [6]uint64{} || m.BytesIn+m.BytesOut != 0 || m.Durations.Sum != 0 {
			t.Errorf("counted all the same: %+v", m)
		}
	})
}

// Every timeout is counted as what it is.
func TestMetricsOfTimeouts(t *testing.T) {
	limits := server.Limits{
		FirstByteTimeout: time.Second, HeadTimeout: time.Second, IdleTimeout: time.Second, WriteTimeout: time.Second,
		HandlerTimeout: time.Second, BodyWindow: time.Second, MaxInFlight: 1, QueueTimeout: time.Second / 2, HandshakeTimeout: time.Second,
	}
	h := func(r *server.Request) server.Response {
		switch r.Path() {
		case "/late":
			time.Sleep(2 * time.Second)
		case "/queue":
			time.Sleep(900 * time.Millisecond)
		case "/body":
			if _, err := r.ReadAll(); err != nil {
				return server.Err(err)
			}
		case "/big":
			return server.Text(big)
		}
		return server.Text("hello")
	}
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\n" + host + "\r\n" }
	for _, tc := range []struct {
		in   []string // what clients send, each on a connection
		want server.Timeouts
	}{
		{[]string{""}, server.Timeouts{FirstByte: 1}},
		{[]string{"GET /"}, server.Timeouts{Head: 1}},
		{[]string{get("/")}, server.Timeouts{Idle: 1}},
		{[]string{get("/big")}, server.Timeouts{Write: 1}},
		{[]string{get("/late")}, server.Timeouts{Handler: 1}},
		{[]string{"POST /body HTTP/1.1\r\n" + host + "Content-Length: 5000\r\n\r\n1"}, server.Timeouts{Body: 1}},
		{[]string{get("/queue"), get("/")}, server.Timeouts{Queue: 1, Idle: 2}},
	} {
		synctest.Test(t, func(t *testing.T) {
			if tc.want.Body > 0 {
				limits := limits
				limits.HandlerTimeout = -1
				check(t, start(t, h, server.Config{Limits: limits, Metrics: true}), tc.in, tc.want)
				return
			}
			check(t, start(t, h, server.Config{Limits: limits, Metrics: true}), tc.in, tc.want)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := startTLS(t, h, server.Config{Limits: limits}, false, tls.Config{})
		check(t, s.bench, []string{""}, server.Timeouts{Handshake: 1})
	})
}

// check lets clients send, and nothing more happen for long.
func check(t *testing.T, b *bench, in []string, want server.Timeouts) {
	t.Helper()
	for _, s := range in {
		c := b.dial(t)
		io.WriteString(c, s)
		synctest.Wait()
	}
	time.Sleep(20 * time.Second)
	synctest.Wait()
	m := b.Metrics()
	if m.Timeouts != want {
		t.Errorf("%q: %+v, want %+v", in, m.Timeouts, want)
	}
	if n := m.QueueWaits.Sum; n != time.Duration(want.Queue)*time.Second/2 {
		t.Errorf("%q: waited %v", in, n)
	}
}

// Whoever finds no place is counted, and so are accepts that fail.
func TestMetricsOfRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		s := server.New(func(r *server.Request) server.Response {
			<-release
			return server.Text("hello")
		}, server.Config{Log: quiet(), Limits: server.Limits{MaxConns: 3, MaxInFlight: 1, MaxQueued: -1}})
		defer s.Close()
		ln := memory.Listen(memory.Config{})
		go s.Serve(&stumbling{Listener: ln, times: 2})
		b := &bench{s, ln}
		time.Sleep(time.Second) // for the listener to recover
		for range 2 {
			asks(t, b, "/")
		}
		b.dial(t)
		asks(t, b, "/")
		m := s.Metrics()
		if m.AcceptErrors != 2 || m.TurnedAway != 1 || m.QueueFull != 1 || m.Refused[503] != 2 || m.InFlight != 1 {
			t.Errorf("%+v", m)
		}
		close(release)
		s.Shutdown(t.Context())
		if m := s.Metrics(); m.AcceptErrors != 2 || m.Conns != 0 {
			t.Errorf("after Shutdown: %+v", m)
		}
	})
}

// stumbling is a listener that fails at first.
type stumbling struct {
	net.Listener
	times int
}

func (s *stumbling) Accept() (net.Conn, error) {
	if s.times--; s.times >= 0 {
		return nil, syscall.EMFILE
	}
	return s.Listener.Accept()
}

// Bytes are counted however they are read and written.
func TestMetricsOnSockets(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			ln := p.listen(t)
			l := &live{server.New(app, server.Config{Log: quiet(), Metrics: true}), ln, make(chan error, 1)}
			go func() { l.served <- l.Serve(ln) }()
			defer l.Close()
			in := request + "POST /copy HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n4e200\r\n" + big + "\r\n0\r\n\r\n" + request
			c := l.dial(t)
			go func() {
				io.WriteString(c, in)
				c.(interface{ CloseWrite() error }).CloseWrite()
			}()
			out, err := io.ReadAll(c)
			if err != nil || strings.Count(string(out), "200 OK") != 3 {
				t.Fatalf("got %.500q, %v", out, err)
			}
			until(t, "connection ended", func() bool { return l.Stats().Conns == 0 })
			if m := l.Metrics(); m.BytesIn != uint64(len(in)) || m.BytesOut != uint64(len(out)) {
				t.Errorf("%d bytes in and %d out, want %d and %d", m.BytesIn, m.BytesOut, len(in), len(out))
			}
		})
	}
}
