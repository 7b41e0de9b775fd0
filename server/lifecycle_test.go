package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
	"postern/transport/memory"
	"postern/transport/tcp"
)

const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// Shutdown ends idle connections, lets exchanges end, and tells their clients.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entered, release := make(chan bool), make(chan bool)
		b := start(t, func(r *server.Request) server.Response {
			if r.PathIs("/slow") {
				entered <- true
				<-release
			}
			return server.Text("done")
		}, server.Config{})
		fresh, idle, busy := b.dial(t), b.dial(t), b.dial(t)
		io.WriteString(idle, request)
		if _, err := idle.Read(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		io.WriteString(busy, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"+request)
		<-entered
		ended := make(chan error)
		go func() { ended <- b.Shutdown(context.Background()) }()
		for name, c := range map[string]net.Conn{"fresh": fresh, "idle": idle} {
			if n, err := c.Read(make([]byte, 1)); n > 0 || err != io.EOF {
				t.Errorf("%s connection: %d bytes, %v, want EOF", name, n, err)
			}
		}
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("Shutdown returned %v before the exchange ended", err)
		default:
		}
		close(release)
		out, err := io.ReadAll(busy)
		if err != nil || strings.Count(string(out), "200 OK") != 1 || !strings.Contains(string(out), "Connection: close") {
			t.Errorf("got %q, %v", out, err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := b.Serve(memory.Listen(memory.Config{})); !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("Serve after Shutdown: %v", err)
		}
	})
}

// A client that has connected and asks a little later is answered, also when it was
// accepted before Shutdown began; one that says nothing holds it up no longer than
// that.
func TestShutdownServesWhoHasJustConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(*server.Request) server.Response { return server.Text("done") }, server.Config{})
		asks, silent := b.dial(t), b.dial(t)
		synctest.Wait() // both were accepted
		began := time.Now()
		ended := make(chan error)
		go func() { ended <- b.Shutdown(context.Background()) }()
		time.Sleep(100 * time.Millisecond)
		io.WriteString(asks, request)
		if out, err := io.ReadAll(asks); err != nil || !strings.HasSuffix(string(out), "done") || !strings.Contains(string(out), "Connection: close") {
			t.Errorf("got %q, %v", out, err)
		}
		asks.Close()
		if n, err := silent.Read(make([]byte, 1)); n > 0 || err != io.EOF {
			t.Errorf("the silent one: %d bytes, %v, want EOF", n, err)
		}
		if err := <-ended; err != nil || time.Since(began) > 300*time.Millisecond {
			t.Errorf("Shutdown: %v after %v", err, time.Since(began))
		}
	})
}

// When its context ends first, Shutdown cuts what is left.
func TestShutdownGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entered := make(chan bool)
		b := start(t, func(r *server.Request) server.Response {
			entered <- true
			<-r.Context().Done()
			return server.Text("too late")
		}, server.Config{})
		c := b.dial(t)
		io.WriteString(c, request)
		<-entered
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := b.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("Shutdown: %v after %v", err, time.Since(began))
		}
		if out, _ := io.ReadAll(c); len(out) > 0 {
			t.Errorf("got %q", out)
		}
	})
}

// A request that is on its way when Shutdown begins is answered.
func TestShutdownServesTheBacklog(t *testing.T) {
	ln, err := tcp.Listen(tcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(app, server.Config{Log: quiet()})
	var clients []net.Conn
	for range 5 { // complete in the kernel, not accepted
		c, err := tcp.Dial(t.Context(), tcp.Config{Addr: ln.Addr().String()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	served := make(chan error)
	go func() { served <- s.Serve(ln) }()
	for s.Stats().Requests == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, c := range clients {
		if out, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(out), "HTTP/1.1 200 OK\r\n") {
			t.Errorf("client %d: %q, %v", i, out, err)
		}
	}
	if err := <-served; !errors.Is(err, server.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
}

// One record for each exchange, bad input included.
func TestAccessLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := start(t, app, server.Config{AccessLog: slog.New(slog.NewTextHandler(&log, nil))})
		talk(t, b.dial(t), "POST /echo?a=b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "junk\r\n\r\n")
		if err := b.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := regexp.MustCompile(`time=\S+ `).ReplaceAllString(log.String(), "")
		want := `level=INFO msg=request id=1 method=POST target="/echo?a=b" status=200 bytes=3 duration=0s listener=memory remote=X
level=INFO msg=request id=2 method=HEAD target=/ status=200 bytes=0 duration=0s listener=memory remote=X
level=INFO msg=request id=3 method="" target="" status=400 bytes=51 duration=0s listener=memory remote=X
`
		got = regexp.MustCompile(`remote=\S+`).ReplaceAllString(got, "remote=X")
		got = regexp.MustCompile(`listener=\S+`).ReplaceAllString(got, "listener=memory")
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// blocked is a log that takes no record before it is told to.
type blocked struct {
	slog.Handler
	gate chan bool
}

func (b blocked) Handle(ctx context.Context, r slog.Record) error {
	<-b.gate
	return b.Handler.Handle(ctx, r)
}

// A log that stands still delays no client: records are dropped and counted.
func TestAccessLogDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan bool)
		b := start(t, app, server.Config{AccessLog: slog.New(blocked{slog.NewTextHandler(io.Discard, nil), gate})})
		const n = 2000
		out := talk(t, b.dial(t), strings.Repeat(request, n))
		if got := strings.Count(out, "200 OK"); got != n {
			t.Errorf("%d answers, want %d", got, n)
		}
		st := b.Stats()
		if st.Requests != n || st.DroppedRecords == 0 || st.DroppedRecords > n-1024 {
			t.Errorf("%+v", st)
		}
		close(gate)
	})
}

// Listeners have names, handlers and limits of their own.
func TestListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server.New(func(r *server.Request) server.Response { return server.Text("main " + r.Listener()) }, server.Config{Log: quiet()})
		one, two := memory.Listen(memory.Config{}), memory.Listen(memory.Config{})
		go s.Serve(server.Listener{Listener: one, Name: "one"})
		go s.Serve(server.Listener{Listener: two, Name: "two", Handler: func(r *server.Request) server.Response {
			return server.Text("other " + r.Listener())
		}, Limits: server.Limits{MaxTarget: 5}})
		defer s.Close()
		for _, tc := range []struct {
			ln         *memory.Listener
			path, want string
		}{{one, "/123456", "main one"}, {two, "/1", "other two"}, {two, "/123456", "414 URI Too Long: request-target too long at byte 9\n"}} {
			c, err := tc.ln.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			out := talk(t, c, "GET "+tc.path+" HTTP/1.1\r\nHost: a\r\n\r\n")
			if !strings.HasSuffix(out, "\r\n\r\n"+tc.want) {
				t.Errorf("%s: got %q, want %q", tc.path, out, tc.want)
			}
			c.Close()
		}
	})
}

// A handler that is missing is found when serving begins, not with the first
// request.
func TestNoHandler(t *testing.T) {
	err := server.New(nil, server.Config{}).Serve(memory.Listen(memory.Config{}))
	if err == nil || !strings.Contains(err.Error(), "has no handler") {
		t.Errorf("got %v", err)
	}
}

// addressless is a listener as tests make them.
type addressless struct {
	accepting, end chan bool
	closed         atomic.Int32
}

func (l *addressless) Addr() net.Addr { return nil }

func (l *addressless) Accept() (net.Conn, error) {
	l.accepting <- true
	<-l.end
	return nil, net.ErrClosed
}

func (l *addressless) Close() error {
	if l.closed.Add(1) == 1 {
		close(l.end)
	}
	return nil
}

// A listener is closed once, and need not have an address.
func TestListenerClosedOnce(t *testing.T) {
	s, ln := server.New(app, server.Config{Log: quiet()}), &addressless{accepting: make(chan bool), end: make(chan bool)}
	served := make(chan error)
	go func() { served <- s.Serve(ln) }()
	<-ln.accepting
	s.Close()
	if err, n := <-served, ln.closed.Load(); err != server.ErrServerClosed || n != 1 {
		t.Errorf("%v, closed %d times", err, n)
	}
}

// RenderError makes every page; if it fails itself there is still an answer.
func TestRenderError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, app, server.Config{RenderError: func(r *server.Request, status int, err error) server.Response {
			if r != nil && r.PathIs("/panic") {
				panic("again")
			}
			if r == nil {
				return server.Text("x").With("X", "bad\nvalue")
			}
			return server.Text(fmt.Sprint(status, r != nil, err != nil))
		}})
		for in, want := range map[string]string{
			"GET /fail HTTP/1.1\r\nHost: a\r\n\r\n":  "500 true true",
			"GET /%x HTTP/1.1\r\nHost: a\r\n\r\n":    "400 true false",
			"GET / HTTP/1.1\r\n\r\n":                 "500 Internal Server Error\n",
			"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n": "500 Internal Server Error\n",
		} {
			if out := talk(t, b.dial(t), in); !strings.HasSuffix(out, "\r\n\r\n"+want) {
				t.Errorf("%q: got %q, want %q", in, out, want)
			}
		}
	})
}

// Real clients on real sockets, many at a time.
func TestClients(t *testing.T) {
	ln, err := tcp.Listen(tcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(app, server.Config{Log: quiet()})
	go s.Serve(ln)
	base := "http://" + ln.Addr().String()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for k := range 20 {
				body := strings.Repeat(string(rune('a'+i)), 1+k*k*300)
				var r io.Reader = strings.NewReader(body)
				if k%2 == 1 {
					r = io.MultiReader(r) // of unknown length: chunked
				}
				path := []string{"/echo", "/copy"}[k%2]
				resp, err := client.Post(base+path, "text/plain", r)
				if err != nil {
					t.Errorf("%s: %v", path, err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(got) != body {
					t.Errorf("%s of %d bytes: got %d, %v", path, len(body), len(got), err)
				}
			}
		})
	}
	wg.Wait()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Conns != 0 || st.Requests != 16*20 {
		t.Errorf("%+v", st)
	}
}
