package socket_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/transport"
	"postern/transport/internal/socket"
)

// told collects what Watch tells.
type told struct {
	mu    sync.Mutex
	calls []bool
}

func (g *told) gone(reset bool) {
	g.mu.Lock()
	g.calls = append(g.calls, reset)
	g.mu.Unlock()
}

func (g *told) so(want ...bool) func() bool {
	return func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(g.calls) != len(want) {
			return false
		}
		for i, reset := range g.calls {
			if reset != want[i] {
				return false
			}
		}
		return true
	}
}

// A half-close is told, once, and a break after it, once. Neither disturbs a reader.
func TestWatch(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		client, server := connect(t, ln)
		var g told
		if err := server.Watch(g.gone); err != nil {
			t.Fatal(err)
		}
		send(t, client, "request")
		if !g.so()() {
			t.Errorf("told %v of a peer that is there", g.calls)
		}
		client.CloseWrite()
		eventually(t, "told of the half-close", g.so(false))
		receive(t, server, "request")
		receiveEnd(t, server)
		send(t, server, "answer") // and the rest is never read: a reset
		if tcp, ok := client.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		client.Close()
		eventually(t, "told of the break", g.so(false, true))
		server.CloseWrite()
		server.CloseRead()
		time.Sleep(time.Millisecond)
		if !g.so(false, true)() {
			t.Errorf("told %v, want once each", g.calls)
		}
	})
}

func TestWatchReset(t *testing.T) {
	ln := listeners["tcp"](t)
	defer ln.Close()
	client, server := connect(t, ln)
	var g told
	server.Watch(g.gone)
	client.(*net.TCPConn).SetLinger(0)
	client.Close()
	eventually(t, "told of the reset", g.so(true))
}

// What has happened already is told before Watch returns, to whom asks last.
func TestWatchLate(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		for range 50 {
			client, server := connect(t, ln)
			client.CloseWrite()
			receiveEnd(t, server)
			for range 2 {
				var g told
				server.Watch(g.gone)
				if !g.so(false)() {
					t.Fatalf("told %v when Watch returned", g.calls)
				}
			}
			client.Close()
			var g told
			server.Watch(g.gone)
			eventually(t, "told of the half-close", func() bool { return !g.so()() })
			server.Close()
		}
	})
}

func TestWatchReplaced(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		client, server := connect(t, ln)
		var first, second told
		server.Watch(first.gone)
		server.Watch(nil)
		client.CloseWrite()
		receiveEnd(t, server)
		server.Watch(second.gone)
		eventually(t, "told", second.so(false))
		if !first.so()() {
			t.Errorf("the one before was told %v", first.calls)
		}
	})
}

// A handler is told while it works, and may do anything that does not block.
func TestWatchDuringStep(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		client, server := connect(t, ln)
		ended := pump(server, &steps{f: func(in []byte, end bool) ([]byte, transport.Next) {
			if len(in) == 0 {
				return nil, transport.Park
			}
			gone := make(chan bool, 2)
			server.Watch(func(reset bool) { server.Wake(); gone <- reset })
			client.CloseWrite()
			<-gone
			return in, transport.Park
		}})
		send(t, client, "x")
		receive(t, client, "x")
		wantNext(t, ended, transport.Park) // Wake
		wantNext(t, pump(server, echo()), transport.Close)
	})
}

// watchers counts the goroutines of the hang-up set.
func watchers() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "socket.watch(")
}

// The watcher is there for as long as a listener or a connection that has waited,
// and starts anew.
func TestWatcherEnds(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		ln.Close()
		eventually(t, "no watcher at first", func() bool { return watchers() == 0 })
		before := files(t)
		for range 5 {
			ln := listeners[ln.Addr().Network()](t)
			client, server := connect(t, ln)
			eventually(t, "a watcher for one user", func() bool { return watchers() == 1 && socket.HangupUsers() == 1 })
			ended := pump(server, echo())
			eventually(t, "parked", server.Parked)
			ln.Close()
			if watchers() != 1 || socket.HangupUsers() != 1 {
				t.Errorf("%d watchers, %d users, want 1 and 1", watchers(), socket.HangupUsers())
			}
			client.Close()
			wantNext(t, ended, transport.Close)
			server.Close()
			if n := socket.HangupUsers(); n != 0 {
				t.Errorf("%d users left", n)
			}
			eventually(t, "no watcher", func() bool { return watchers() == 0 })
		}
		eventually(t, "no descriptor left", func() bool { return files(t) <= before })
	})
}

// The last user may go while the watcher has news for it.
func TestLastUserAndItsEvent(t *testing.T) {
	for range 3000 {
		client, server := socketpair(t)
		server.Watch(func(bool) { runtime.Gosched(); server.Wake() })
		go client.Close()
		within(t, "Close", func() { server.Close() })
	}
	eventually(t, "no users", func() bool { return socket.HangupUsers() == 0 })
}

// gone may close the connection, and that may be the last user.
func TestGoneCloses(t *testing.T) {
	for range 100 {
		client, server := socketpair(t)
		closed := make(chan error, 2)
		server.Watch(func(bool) { closed <- server.Close() })
		client.Close()
		within(t, "Close", func() {
			if err := <-closed; err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	eventually(t, "no users", func() bool { return socket.HangupUsers() == 0 })
}

// An event of a connection never reaches the one that has its place in the set, or
// its descriptor's number, next.
func TestEventsOfThePredecessor(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		var stray atomic.Int64
		for range 1500 {
			client, server := connectOnly(t, ln)
			server.Watch(func(bool) {})
			var both sync.WaitGroup
			both.Go(func() { client.Close() }) // an event
			both.Go(func() {
				server.Close()
				next, heir := connectOnly(t, ln) // most likely the same number and place
				heir.Watch(func(bool) { stray.Add(1) })
				ended := pump(heir, echo())
				send(t, next, "x")
				receive(t, next, "x")
				if n := stray.Load(); n != 0 {
					t.Errorf("%d events were its predecessor's", n)
				}
				heir.Watch(nil)
				heir.Close()
				<-ended
				next.Close()
			})
			within(t, "both", both.Wait)
			if t.Failed() {
				return
			}
		}
	})
}

// Watch and Close at once: an error, or none, and nothing left.
func TestWatchAndClose(t *testing.T) {
	for range 2000 {
		client, server := socketpair(t)
		var all sync.WaitGroup
		all.Go(func() {
			if err := server.Watch(func(bool) {}); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Errorf("Watch: %v", err)
			}
		})
		all.Go(func() { server.Close() })
		all.Go(func() { client.Close() })
		within(t, "all", all.Wait)
	}
	eventually(t, "no users", func() bool { return socket.HangupUsers() == 0 })
}

// A peer that half-closes and goes on reading is served to the end.
func TestHalfCloseWhileParked(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		client, server := connect(t, ln)
		var g told
		server.Watch(g.gone)
		ended := pump(server, &steps{f: func(in []byte, end bool) ([]byte, transport.Next) {
			if end {
				return []byte("goodbye"), transport.Close
			}
			return in, transport.Park
		}})
		eventually(t, "parked", server.Parked)
		client.CloseWrite()
		wantNext(t, ended, transport.Close)
		server.Close()
		if got, err := io.ReadAll(client); string(got) != "goodbye" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}
