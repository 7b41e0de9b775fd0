package server_test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
	"postern/transport/memory"
)

// A desk is a handler whose requests wait to be let go, one by one.
type desk struct {
	mu      sync.Mutex
	entered []string
	leave   chan bool
}

func (d *desk) serve(r *server.Request) server.Response {
	d.mu.Lock()
	d.entered = append(d.entered, r.Path())
	d.mu.Unlock()
	<-d.leave
	return server.Text("hello")
}

func (d *desk) seen() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.entered, " ")
}

// asks sends a request and returns what will have been answered by the end.
func asks(t testing.TB, b *bench, path string) (net.Conn, func() string) {
	c := b.dial(t)
	io.WriteString(c, "GET "+path+" HTTP/1.1\r\n"+host+"\r\n")
	synctest.Wait()
	return c, func() string {
		c.(interface{ CloseWrite() error }).CloseWrite()
		out, _ := io.ReadAll(c)
		status, _, _ := strings.Cut(string(out), "\r\n")
		if strings.Contains(status, "503") && !strings.Contains(string(out), "\r\nRetry-After: ") {
			t.Errorf("no Retry-After in %q", out)
		}
		return strings.TrimPrefix(status, "HTTP/1.1 ")
	}
}

// Requests run two at a time, wait in order, and are turned away when too many wait
// or for too long.
func TestMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := desk{leave: make(chan bool)}
		b := start(t, d.serve, server.Config{Limits: server.Limits{MaxInFlight: 2, MaxQueued: 3, QueueTimeout: time.Second}})
		var results []func() string
		for i := range 6 {
			_, result := asks(t, b, fmt.Sprint("/", i))
			results = append(results, result)
		}
		if got := d.seen(); got != "/0 /1" {
			t.Errorf("%s run", got)
		}
		if s := b.Stats(); s.InFlight != 2 || s.Queued != 3 {
			t.Errorf("%d in flight and %d queued, want 2 and 3", s.InFlight, s.Queued)
		}
		if got := results[5](); got != "503 Service Unavailable" {
			t.Errorf("the sixth got %q", got)
		}
		for range 2 {
			d.leave <- true
			synctest.Wait()
		}
		if got := d.seen(); got != "/0 /1 /2 /3" {
			t.Errorf("%s run", got)
		}
		time.Sleep(time.Second)
		if got := results[4](); got != "503 Service Unavailable" {
			t.Errorf("the fifth got %q", got)
		}
		close(d.leave)
		for _, r := range results[:4] {
			if got := r(); got != "200 OK" {
				t.Errorf("got %q", got)
			}
		}
		if s := b.Stats(); s.InFlight != 0 || s.Queued != 0 {
			t.Errorf("%d in flight and %d queued, want none", s.InFlight, s.Queued)
		}
	})
}

// Idle connections hold no slot, the earlier answers of a batch do not wait with
// the request behind them, and a connection goes on after 503.
func TestMaxInFlightAndPipelining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		b := start(t, func(r *server.Request) server.Response {
			if r.PathIs("/slow") {
				<-release
			}
			return server.Text("hello")
		}, server.Config{Limits: server.Limits{MaxInFlight: 1, QueueTimeout: time.Second}})
		idle := b.dial(t)
		io.WriteString(idle, request)
		synctest.Wait()
		_, slow := asks(t, b, "/slow")
		c := b.dial(t)
		io.WriteString(c, request)
		synctest.Wait()
		release <- true
		synctest.Wait()
		_, slow2 := asks(t, b, "/slow")
		io.WriteString(c, request+request)
		time.Sleep(1500 * time.Millisecond) // one timed out, the other waits
		release <- true
		synctest.Wait()
		c.(interface{ CloseWrite() error }).CloseWrite()
		out, _ := io.ReadAll(c)
		var got []string
		for line := range strings.SplitSeq(string(out), "\r\n") {
			if i := strings.Index(line, "HTTP/1.1 "); i >= 0 {
				got = append(got, line[i+9:i+12])
			}
		}
		if !slices.Equal(got, []string{"200", "503", "200"}) {
			t.Errorf("got %q", out)
		}
		if slow() != "200 OK" || slow2() != "200 OK" {
			t.Error("a slow one was not answered")
		}
	})
}

// What was answered before a request that waits is written first.
func TestQueueWritesWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, second := make(chan bool), make(chan bool)
		b := start(t, func(r *server.Request) server.Response {
			switch r.Path() {
			case "/slow":
				<-release
			case "/first":
				<-second
			}
			return server.Text("hello")
		}, server.Config{Limits: server.Limits{MaxInFlight: 1}})
		c := b.dial(t)
		io.WriteString(c, "GET /first HTTP/1.1\r\n"+host+"\r\n"+request)
		synctest.Wait()
		_, slow := asks(t, b, "/slow") // waits, ahead of what stands behind the first
		close(second)
		out := make([]byte, 1000)
		n, err := c.Read(out)
		if got := plain(t, string(out[:n])); got != plainHello || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		close(release)
		if slow() != "200 OK" {
			t.Error("the slow one was not answered")
		}
	})
}

// The slot is held while the body is made, and by a Drive; not by a connection that
// has left the server, and not after a panic.
func TestSlotIsHeld(t *testing.T) {
	for name, tc := range map[string]struct {
		h     func(release chan bool) server.Handler
		holds bool
	}{
		"stream": {func(release chan bool) server.Handler {
			return func(*server.Request) server.Response {
				return server.Stream("text/plain", func(*server.StreamWriter) error { <-release; return nil })
			}
		}, true},
		"drive": {func(release chan bool) server.Handler {
			return func(*server.Request) server.Response {
				return server.Drive(func(*server.Exchange) error { <-release; return nil })
			}
		}, true},
		"hijacked": {func(release chan bool) server.Handler {
			return func(*server.Request) server.Response {
				return server.Drive(func(x *server.Exchange) error {
					nc, _, err := x.Hijack()
					if err == nil {
						<-release
						nc.Close()
					}
					return err
				})
			}
		}, false},
		"timed out": {func(release chan bool) server.Handler {
			return func(*server.Request) server.Response { <-release; return server.Empty(200) }
		}, true},
		"panic": {func(chan bool) server.Handler {
			return func(*server.Request) server.Response { panic("oops") }
		}, false},
		"panic of a drive": {func(chan bool) server.Handler {
			return func(*server.Request) server.Response {
				return server.Drive(func(*server.Exchange) error { panic("oops") })
			}
		}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan bool)
			slow := tc.h(release)
			b := start(t, func(r *server.Request) server.Response {
				if r.PathIs("/slow") {
					return slow(r)
				}
				return server.Text("hello")
			}, server.Config{Limits: server.Limits{MaxInFlight: 1, MaxQueued: -1, HandlerTimeout: time.Second}})
			asks(t, b, "/slow")
			time.Sleep(2 * time.Second) // past the handler's time
			_, other := asks(t, b, "/")
			want := "200 OK"
			if tc.holds {
				want = "503 Service Unavailable"
			}
			if got := other(); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
			close(release)
			synctest.Wait()
			if n := b.Stats().InFlight; n != 0 {
				t.Errorf("%s: %d are in flight", name, n)
			}
		})
	}
}

// Listeners share the server's slots unless they have their own.
func TestMaxInFlightOfListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := desk{leave: make(chan bool)}
		s := server.New(d.serve, server.Config{Log: quiet(), Limits: server.Limits{MaxInFlight: 1}})
		defer s.Close()
		benches := make([]*bench, 4)
		for i, limits := range []server.Limits{{}, {}, {MaxInFlight: 1}, {MaxInFlight: -1}} {
			benches[i] = &bench{s, memory.Listen(memory.Config{})}
			go s.Serve(server.Listener{Listener: benches[i].ln, Limits: limits})
		}
		for i, b := range benches {
			for j := range 2 {
				asks(t, b, fmt.Sprintf("/%d%d", i, j))
			}
		}
		if got := d.seen(); got != "/00 /20 /30 /31" {
			t.Errorf("%s run", got)
		}
		close(d.leave)
	})
}

// Close ends the queue, Shutdown works it off.
func TestQueueAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, gently := range []bool{true, false} {
			d := desk{leave: make(chan bool)}
			b := start(t, d.serve, server.Config{Limits: server.Limits{MaxInFlight: 1, QueueTimeout: -1}})
			_, first := asks(t, b, "/0")
			_, second := asks(t, b, "/1")
			ended := make(chan bool)
			go func() {
				if gently {
					b.Shutdown(t.Context())
				} else {
					b.Close()
				}
				close(ended)
			}()
			synctest.Wait()
			close(d.leave)
			<-ended
			if got := d.seen(); gently != (got == "/0 /1") {
				t.Errorf("gently %v: %s ran", gently, got)
			}
			if gently && (first() != "200 OK" || second() != "200 OK") {
				t.Error("not all was answered")
			}
			if s := b.Stats(); s.InFlight != 0 || s.Queued != 0 {
				t.Errorf("gently %v: %+v", gently, s)
			}
		}
	})
}

// A client that resets its connection leaves the queue, where the transport tells.
func TestGoneWhileQueued(t *testing.T) {
	d := desk{leave: make(chan bool)}
	onPumped(t, d.serve, server.Limits{MaxInFlight: 1, QueueTimeout: -1}, func(t *testing.T, l *live) {
		c := l.dial(t)
		write(t, c, request)
		until(t, "one runs", func() bool { return l.Stats().InFlight == 1 })
		gone := l.dial(t)
		write(t, gone, request)
		until(t, "one waits", func() bool { return l.Stats().Queued == 1 })
		if half, ok := gone.(interface{ SetLinger(int) error }); ok {
			half.SetLinger(0) // closing resets
		}
		gone.Close()
		until(t, "none waits", func() bool { return l.Stats().Queued == 0 })
		d.leave <- true
		wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
	})
}
