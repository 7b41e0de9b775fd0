package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"postern/server"
	"postern/transport"
	"postern/transport/tcp"
	"postern/transport/unix"
)

// The ways that a connection on a real socket is served: driven by readiness where
// the platform can, and by ordinary reads and writes.
var paths = []struct {
	name   string
	listen func(testing.TB) net.Listener
	pumped bool
}{
	{"tcp", listenTCP, runtime.GOOS == "linux"},
	{"unix", listenUnix, runtime.GOOS == "linux"},
	{"tcp, ordinary", func(t testing.TB) net.Listener { return ordinary{listenTCP(t)} }, false},
}

func listenTCP(t testing.TB) net.Listener {
	ln, err := tcp.Listen(tcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func listenUnix(t testing.TB) net.Listener {
	dir, err := os.MkdirTemp("", "server")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ln, err := unix.Listen(unix.Config{Path: filepath.Join(dir, "s")})
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// ordinary hides what its connections can beyond reading and writing.
type ordinary struct{ net.Listener }

func (l ordinary) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return plainConn{c, c.(closer2)}, nil
}

type closer2 interface {
	CloseWrite() error
	SetLinger(sec int) error
}

type plainConn struct {
	net.Conn
	closer2
}

// live is a server on a real socket, in real time.
type live struct {
	*server.Server
	ln     net.Listener
	served chan error
}

func serveOn(t testing.TB, ln net.Listener, h server.Handler, limits server.Limits) *live {
	t.Helper()
	l := &live{server.New(h, server.Config{Log: quiet(), Limits: limits}), ln, make(chan error, 1)}
	go func() { l.served <- l.Serve(ln) }()
	t.Cleanup(func() { l.Close() })
	return l
}

func (l *live) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial(l.ln.Addr().Network(), l.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// patience is how long a test waits for what should come at once.
const patience = 10 * time.Second

// onPaths runs a test on each path.
func onPaths(t *testing.T, h server.Handler, limits server.Limits, test func(t *testing.T, l *live)) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) { test(t, serveOn(t, p.listen(t), h, limits)) })
	}
}

// onPumped is onPaths for those that are pumped.
func onPumped(t *testing.T, h server.Handler, limits server.Limits, test func(t *testing.T, l *live)) {
	for _, p := range paths {
		if p.pumped {
			t.Run(p.name, func(t *testing.T) { test(t, serveOn(t, p.listen(t), h, limits)) })
		}
	}
}

func write(t testing.TB, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

// wantAnswer reads one response of known length, and wants its beginning and its end.
func wantAnswer(t testing.TB, c net.Conn, begin, end string) {
	t.Helper()
	var got []byte
	for b := make([]byte, 1); !bytes.HasSuffix(got, []byte("\r\n\r\n"+end)); got = append(got, b[0]) {
		if _, err := c.Read(b); err != nil {
			t.Fatalf("got %q, then %v, want %q ... %q", got, err, begin, end)
		}
	}
	if !bytes.HasPrefix(got, []byte(begin)) {
		t.Fatalf("got %q, want %q", got, begin)
	}
}

// wantEnd wants the end of the stream, in order.
func wantEnd(t testing.TB, c net.Conn) {
	t.Helper()
	if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
		t.Errorf("got %q, %v, want the end", rest, err)
	}
}

func until(t testing.TB, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// Everything that is said over memory is said over sockets.
func TestExchangesOnSockets(t *testing.T) {
	onPaths(t, app, server.Limits{MaxBody: 400_000}, func(t *testing.T, l *live) {
		for _, tc := range exchanges() {
			for how, pieces := range map[string][]string{"whole": {tc.in}, "in two": {tc.in[:len(tc.in)/2], tc.in[len(tc.in)/2:]}} {
				c := l.dial(t)
				var out bytes.Buffer
				var reading sync.WaitGroup
				reading.Go(func() { io.Copy(&out, c) })
				for i, p := range pieces {
					if i > 0 {
						time.Sleep(200 * time.Microsecond) // so that it is read alone, as a rule
					}
					io.WriteString(c, p)
				}
				c.(interface{ CloseWrite() error }).CloseWrite()
				reading.Wait()
				c.Close()
				if got := plain(t, out.String()); got != tc.want && tc.want != "" {
					t.Errorf("%s, %s: got %.2000q\nwant %.2000q", tc.name, how, got, tc.want)
				}
			}
		}
	})
}

// A client that half-closes with its request gets the answer and the end at once.
func TestHalfCloseWithTheRequest(t *testing.T) {
	const rounds, quick, mayBeSlow = 100, 200 * time.Millisecond, 5
	onPaths(t, app, server.Limits{}, func(t *testing.T, l *live) {
		slow := 0
		for i := range rounds {
			c := l.dial(t)
			if i%2 == 0 {
				write(t, c, request)
				wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
			}
			if i%4 < 2 {
				cork(c)
			}
			began := time.Now()
			write(t, c, request)
			c.(interface{ CloseWrite() error }).CloseWrite()
			wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
			wantEnd(t, c)
			if time.Since(began) > quick {
				slow++ // a loaded machine
			}
			c.Close()
		}
		if slow > mayBeSlow {
			t.Errorf("%d of %d took more than %v", slow, rounds, quick)
		}
	})
}

// What a client sends behind a request that it has called its last does not take
// the answer from it.
func TestBytesBehindTheLastRequest(t *testing.T) {
	entered, more := make(chan bool), make(chan bool)
	h := func(*server.Request) server.Response {
		entered <- true
		<-more
		return server.Text("hello")
	}
	onPaths(t, h, server.Limits{}, func(t *testing.T, l *live) {
		for range 20 {
			c := l.dial(t)
			write(t, c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			<-entered
			write(t, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			more <- true
			wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
			wantEnd(t, c)
			c.Close()
		}
	})
}

// far is a timeout that only WakeDue reaches.
const far = time.Hour

// wakeUntil wakes again and again who would be due in d, until the client
// sees the end, and returns what came before that.
func wakeUntil(t testing.TB, l *live, d time.Duration, c net.Conn) string {
	t.Helper()
	ended := make(chan bool)
	var waking sync.WaitGroup
	waking.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(100 * time.Microsecond):
				l.WakeDue(time.Now().Add(d))
			}
		}
	})
	out, err := io.ReadAll(c)
	close(ended)
	waking.Wait()
	if err != nil {
		t.Errorf("ended with %v, want a FIN", err)
	}
	return string(out)
}

// due waits until one connection is due in d, roughly.
func (l *live) due(t testing.TB, d time.Duration) {
	t.Helper()
	until(t, fmt.Sprintf("due in %v", d), func() bool {
		at := l.Due()
		if len(at) != 1 {
			return false
		}
		in := time.Until(at[0])
		return in > d-time.Minute && in < d+time.Minute
	})
}

// What a pumped client sees of each timeout, and that it does not come early.
func TestPumpedTimeouts(t *testing.T) {
	limits := server.Limits{FirstByteTimeout: far, HeadTimeout: 2 * far, IdleTimeout: 3 * far}
	for _, tc := range []struct {
		name, in, answer string // the latter is that of in
		timeout          time.Duration
		want             string
	}{
		{"first byte", "", "", far, ""},
		{"head", "GET / HT", "", 2 * far, "HTTP/1.1 408 Request Timeout"},
		{"idle", request, "hello", 3 * far, ""},
		{"head after idle", request + "G", "hello", 2 * far, "HTTP/1.1 408 Request Timeout"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onPumped(t, app, limits, func(t *testing.T, l *live) {
				c := l.dial(t)
				write(t, c, tc.in)
				if tc.answer != "" {
					wantAnswer(t, c, "HTTP/1.1 200 OK", tc.answer)
				}
				if tc.name == "idle" { // the clock comes twice: a nap first
					until(t, "a nap, then idle", func() bool {
						l.WakeDue(time.Now().Add(2 * time.Second))
						at := l.Due()
						return len(at) == 1 && time.Until(at[0]) > 2*far
					})
				}
				l.due(t, tc.timeout)
				l.WakeDue(time.Now().Add(tc.timeout - time.Minute))
				time.Sleep(time.Millisecond)
				if n := l.Stats().Conns; n != 1 {
					t.Errorf("ended a minute early")
				}
				got := wakeUntil(t, l, tc.timeout+time.Minute, c)
				if !strings.HasPrefix(got, tc.want) || tc.want == "" && got != "" {
					t.Errorf("got %q, want %q", got, tc.want)
				}
			})
		})
	}
}

// Without timeouts the clock ends nothing.
func TestPumpedWithoutTimeouts(t *testing.T) {
	onPumped(t, app, server.Limits{FirstByteTimeout: -1, HeadTimeout: -1, IdleTimeout: -1}, func(t *testing.T, l *live) {
		c := l.dial(t)
		for _, in := range []string{"", "GET / HT", "TP/1.1\r\nHost: a\r\n\r\n", request} {
			write(t, c, in)
			for range 3 {
				l.WakeDue(time.Now().Add(1000 * far))
				time.Sleep(200 * time.Microsecond)
			}
		}
		wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
		wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
	})
}

// A connection past MaxConns is answered with 503, and closed in silence if it asks
// for nothing.
func TestPumpedMaxConns(t *testing.T) {
	onPumped(t, app, server.Limits{MaxConns: 1}, func(t *testing.T, l *live) {
		first := l.dial(t)
		write(t, first, request)
		wantAnswer(t, first, "HTTP/1.1 200 OK", "hello")
		second := l.dial(t)
		write(t, second, request)
		if out, err := io.ReadAll(second); err != nil || !strings.HasPrefix(string(out), "HTTP/1.1 503 Service Unavailable\r\n") ||
			!strings.Contains(string(out), "\r\nRetry-After: 1\r\n") {
			t.Errorf("got %q, %v", out, err)
		}
		if got := wakeUntil(t, l, 900*time.Millisecond, l.dial(t)); got != "" { // of a second
			t.Errorf("got %q", got)
		}
		write(t, first, request)
		wantAnswer(t, first, "HTTP/1.1 200 OK", "hello")
	})
}

// A timeout that comes while the connection is at work is none: not while the
// handler runs, and not while a body arrives.
func TestPumpedTimeoutDuringWork(t *testing.T) {
	entered, release := make(chan bool), make(chan bool)
	slow := func(r *server.Request) server.Response {
		if r.Path() == "/slow" {
			entered <- true
			<-release
		}
		return app(r)
	}
	onPumped(t, slow, server.Limits{FirstByteTimeout: far, HeadTimeout: far, IdleTimeout: far, BodyRate: -1}, func(t *testing.T, l *live) {
		late := func() { l.WakeDue(time.Now().Add(1000 * far)) }
		for _, fresh := range []bool{true, false} {
			c := l.dial(t)
			if !fresh {
				write(t, c, request)
				wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
			}
			write(t, c, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
			<-entered
			late()
			release <- true
			wantAnswer(t, c, "HTTP/1.1 404 Not Found", "no such page: /slow\n")
			write(t, c, request)
			wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
			c.Close()
			until(t, "closed", func() bool { return l.Stats().Conns == 0 })

			c = l.dial(t)
			if !fresh {
				write(t, c, request)
				wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
			}
			before := l.Stats().Requests
			write(t, c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
			until(t, "a body", func() bool { return l.Stats().Requests > before })
			late()
			write(t, c, "llo"+request) // with the next request behind it
			wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
			wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
			write(t, c, request)
			wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
			c.Close()
			until(t, "closed", func() bool { return l.Stats().Conns == 0 })
		}
	})
}

// A client that trickles is cut by the rate with every body, not only the first.
func TestPumpedBodyRate(t *testing.T) {
	const head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
	onPaths(t, app, server.Limits{BodyRate: 1000, BodyWindow: 200 * time.Millisecond}, func(t *testing.T, l *live) {
		c := l.dial(t)
		for range 3 {
			before := l.Stats().Requests
			write(t, c, head+"he")
			until(t, "a body", func() bool { return l.Stats().Requests > before })
			time.Sleep(2 * time.Millisecond) // it reads the rest by itself
			write(t, c, "llo")
			wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
			write(t, c, request) // pumped again
			wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
		}
		write(t, c, head+"he")
		c.SetDeadline(time.Now().Add(3 * time.Second))
		if out, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(out), "HTTP/1.1 408 ") {
			t.Errorf("got %q, %v, want 408", out, err)
		}
	})
}

// A client that does not read is cut.
func TestPumpedWriteTimeout(t *testing.T) {
	big := make([]byte, 32<<20)
	onPaths(t, func(*server.Request) server.Response { return server.Bytes("a/b", big) }, server.Limits{WriteTimeout: 20 * time.Millisecond}, func(t *testing.T, l *live) {
		write(t, l.dial(t), request)
		until(t, "accepted", func() bool { return l.Stats().Requests == 1 })
		until(t, "cut", func() bool { return l.Stats().Conns == 0 })
	})
}

// A listener that comes later brings its own timeouts, and they are kept.
func TestLaterListenerIsPunctual(t *testing.T) {
	l := serveOn(t, listenTCP(t), app, server.Limits{FirstByteTimeout: far})
	l.dial(t)
	until(t, "a connection", func() bool { return l.Stats().Conns == 1 })
	time.Sleep(150 * time.Millisecond) // the clock has looked, and sleeps
	soon := listenTCP(t)
	go l.Serve(server.Listener{Listener: soon, Limits: server.Limits{FirstByteTimeout: 20 * time.Millisecond}})
	began := time.Now()
	c, err := net.Dial("tcp", soon.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wantEnd(t, c)
	if took := time.Since(began); took > 400*time.Millisecond {
		t.Errorf("20 ms took %v", took)
	}
}

// spying is a listener whose connections tell what the engine holds when it waits.
type spying struct {
	net.Listener
	held, parked *atomic.Int64
}

func (l spying) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return spy{c.(transport.Pumper), l}, nil
}

type spy struct {
	transport.Pumper
	l spying
}

func (s spy) Pump(p transport.Pump, slow func([]byte) error) transport.Next {
	return s.Pumper.Pump(spiedOn{p, s.l}, slow)
}

type spiedOn struct {
	transport.Pump
	l spying
}

func (s spiedOn) Step(n int) ([]byte, transport.Next) {
	out, next := s.Pump.Step(n)
	if next == transport.Park || next == transport.Leave { // to wait here, or on a small stack
		s.l.parked.Add(1)
		if server.HoldsBuffer(s.Pump) {
			s.l.held.Add(1)
		}
	}
	return out, next
}

// A pumped connection that waits for a request holds no buffer; one that waits for
// the rest of a head must.
func TestPumpedIdleHoldsNoBuffer(t *testing.T) {
	for _, p := range paths {
		if !p.pumped {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			var held, parked atomic.Int64
			l := serveOn(t, spying{p.listen(t), &held, &parked}, app, server.Limits{})
			c := l.dial(t)
			for range 5 {
				before := parked.Load()
				write(t, c, request)
				wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
				until(t, "parked", func() bool { return parked.Load() > before })
			}
			if held.Load() != 0 {
				t.Errorf("%d of %d times it held its buffer", held.Load(), parked.Load())
			}
			write(t, c, "GET / HT")
			until(t, "a buffer held", func() bool { return held.Load() == 1 })
		})
	}
}

// Shutdown ends connections that wait at once, in order, wherever they wait.
func TestShutdownOnSockets(t *testing.T) {
	onPaths(t, app, server.Limits{}, func(t *testing.T, l *live) {
		var idle []net.Conn
		for i := range 20 {
			c := l.dial(t)
			if i%2 == 0 {
				write(t, c, request)
				wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
			}
			idle = append(idle, c)
		}
		half := l.dial(t)
		write(t, half, "GET / HT")
		until(t, "all accepted", func() bool { return l.Stats().Conns == 21 })
		time.Sleep(2 * time.Millisecond) // half a head has been read
		ended := make(chan error, 1)
		began := time.Now()
		go func() { ended <- l.Shutdown(context.Background()) }()
		for _, c := range idle {
			wantEnd(t, c)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("idle connections ended after %v", took)
		}
		write(t, half, "TP/1.1\r\nHost: a\r\n\r\n")
		if out, err := io.ReadAll(half); err != nil || !strings.HasPrefix(string(out), "HTTP/1.1 200 OK\r\n") ||
			!strings.Contains(string(out), "\r\nConnection: close\r\n") {
			t.Errorf("half a request: got %q, %v", out, err)
		}
		half.Close()
		if err := <-ended; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-l.served; !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
}

// announced is late, and says when it is asked.
type announced struct {
	late
	asked chan bool
}

func (l announced) Accept() (net.Conn, error) {
	select {
	case l.asked <- true:
	default:
	}
	return l.late.Accept()
}

// A connection that is accepted while the server shuts down, and asks for nothing,
// delays it as little as another.
func TestShutdownAcceptsTheSilent(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			ln := p.listen(t)
			defer ln.Close()
			client, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			l := announced{late{conn: make(chan net.Conn, 1), trigger: make(chan bool, 1)}, make(chan bool, 1)}
			s := server.New(app, server.Config{Log: quiet()})
			go s.Serve(l)
			<-l.asked
			go func() {
				<-l.trigger
				l.conn <- c
				close(l.conn)
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if err := s.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			client.SetDeadline(time.Now().Add(patience))
			wantEnd(t, client)
		})
	}
}

// Whatever was begun when Shutdown came is answered whole.
func TestShutdownUnderLoad(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			for range 10 {
				l := serveOn(t, p.listen(t), app, server.Limits{})
				var answers atomic.Int64
				var clients sync.WaitGroup
				for range 8 {
					c := l.dial(t)
					clients.Go(func() {
						defer c.Close()
						for {
							io.WriteString(c, request)
							if !wholeAnswer(t, c) {
								return
							}
							answers.Add(1)
						}
					})
				}
				until(t, "load", func() bool { return answers.Load() > 100 })
				if err := l.Shutdown(t.Context()); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
				clients.Wait()
				if begun := int64(l.Stats().Requests); begun != answers.Load() {
					t.Errorf("%d requests, %d answers", begun, answers.Load())
				}
			}
		})
	}
}

// wholeAnswer reads one answer of app to request, and reports whether there was one.
// A part of one is an error.
func wholeAnswer(t testing.TB, c net.Conn) bool {
	var got []byte
	buf := make([]byte, 1000)
	for !bytes.HasSuffix(got, []byte("\r\n\r\nhello")) {
		n, err := c.Read(buf)
		if got = append(got, buf[:n]...); err != nil {
			if len(got) > 0 {
				t.Errorf("a part of an answer: %q, %v", got, err)
			}
			return false
		}
	}
	return true
}

// Close cuts a connection whose handler is at work, before that returns.
func TestCloseDuringHandler(t *testing.T) {
	entered, release := make(chan bool), make(chan bool)
	onPaths(t, func(*server.Request) server.Response {
		entered <- true
		<-release
		return server.Text("too late")
	}, server.Limits{}, func(t *testing.T, l *live) {
		busy, idle := l.dial(t), l.dial(t)
		write(t, busy, request)
		<-entered
		until(t, "both accepted", func() bool { return l.Stats().Conns == 2 }) // Close resets who was not
		closed := make(chan error, 1)
		go func() { closed <- l.Close() }()
		wantEnd(t, busy)
		wantEnd(t, idle)
		release <- true
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// A handler that ends its goroutine, as t.FailNow does, ends its connection.
func TestGoexitInHandler(t *testing.T) {
	onPaths(t, func(r *server.Request) server.Response {
		if r.PathIs("/exit") {
			runtime.Goexit()
		}
		return app(r)
	}, server.Limits{}, func(t *testing.T, l *live) {
		for _, in := range []string{"GET /exit HTTP/1.1\r\nHost: a\r\n\r\n", "POST /exit HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"} {
			c := l.dial(t)
			write(t, c, in)
			wantEnd(t, c)
			c.Close()
			until(t, "forgotten", func() bool { return l.Stats().Conns == 0 })
		}
		c := l.dial(t)
		write(t, c, request)
		wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
	})
}

// cork holds back what is written until the connection is half-closed: bytes and end
// are one segment.
func cork(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok && tcpCork != 0 {
		if rc, err := t.SyscallConn(); err == nil {
			rc.Control(func(fd uintptr) { setInt(fd, syscall.IPPROTO_TCP, tcpCork, 1) })
		}
	}
}
