package socket_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/transport"
	"postern/transport/internal/socket"
	"postern/transport/tcp"
	"postern/transport/unix"
)

// patience is how long a test waits for what should come at once.
const patience = 10 * time.Second

// duplex is what the tests need of a client.
type duplex interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// listeners are the two that give out socket.Conns, by network.
var listeners = map[string]func(testing.TB) net.Listener{
	"tcp": func(t testing.TB) net.Listener {
		ln, err := tcp.Listen(tcp.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return ln
	},
	"unix": func(t testing.TB) net.Listener {
		dir, err := os.MkdirTemp("", "socket")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		ln, err := unix.Listen(unix.Config{Path: filepath.Join(dir, "s")})
		if err != nil {
			t.Fatal(err)
		}
		return ln
	},
}

// each runs a test over both networks.
func each(t *testing.T, test func(t *testing.T, ln net.Listener)) {
	for network, listen := range listeners {
		t.Run(network, func(t *testing.T) {
			ln := listen(t)
			t.Cleanup(func() { ln.Close() })
			test(t, ln)
		})
	}
}

// connect returns both ends of a connection; they close with the test.
func connect(t testing.TB, ln net.Listener) (duplex, *socket.Conn) {
	t.Helper()
	client, server := connectOnly(t, ln)
	t.Cleanup(func() { client.Close() })
	t.Cleanup(func() { server.Close() })
	return client, server
}

// connectOnly is connect without the closing.
func connectOnly(t testing.TB, ln net.Listener) (duplex, *socket.Conn) {
	t.Helper()
	client, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client.SetDeadline(time.Now().Add(patience))
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return client.(duplex), server.(*socket.Conn)
}

// steps is a Pump made of a function, with a buffer of its own.
type steps struct {
	f   func(in []byte, end bool) ([]byte, transport.Next)
	buf [512]byte
}

func (s *steps) Buffer() []byte { return s.buf[:] }

func (s *steps) Step(n int) ([]byte, transport.Next) { return s.f(s.buf[:max(n, 0)], n < 0) }

// echo sends back what comes.
func echo() *steps {
	return &steps{f: func(in []byte, end bool) ([]byte, transport.Next) { return in, transport.Park }}
}

// pump pumps in a goroutine of its own.
func pump(c *socket.Conn, p transport.Pump) <-chan transport.Next {
	ended := make(chan transport.Next, 1)
	go func() {
		ended <- c.Pump(p, func(rest []byte) error { _, err := c.Write(rest); return err })
	}()
	return ended
}

func wantNext(t testing.TB, ended <-chan transport.Next, want transport.Next) {
	t.Helper()
	select {
	case got := <-ended:
		if got != want {
			t.Fatalf("Pump = %d, want %d", got, want)
		}
	case <-time.After(patience):
		buf := make([]byte, 1<<16)
		t.Fatalf("Pump does not end\n%s", buf[:runtime.Stack(buf, true)])
	}
}

// within fails the test if f does not return.
func within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan bool)
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(patience):
		buf := make([]byte, 1<<16)
		t.Fatalf("%s does not return\n%s", what, buf[:runtime.Stack(buf, true)])
	}
}

// eventually waits until what is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(50 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func send(t testing.TB, c io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, c io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v, want %q", got[:n], err, want)
	}
}

func receiveEnd(t testing.TB, c io.Reader) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("Read at the end = %d, %v, want 0, EOF", n, err)
	}
}

// onSocket calls f with the descriptor of c.
func onSocket(t testing.TB, c syscall.Conn, f func(fd int) error) {
	t.Helper()
	rc, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := rc.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}

// files counts the descriptors of this process.
func files(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}

// The request and the end in one segment, which TCP_CORK makes sure of.
func TestSpentEdgeInOneSegment(t *testing.T) {
	ln := listeners["tcp"](t)
	defer ln.Close()
	for i := range 200 {
		client, server := connect(t, ln)
		onSocket(t, client, func(fd int) error {
			return syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_CORK, 1)
		})
		var ended <-chan transport.Next
		parked := i%2 == 0
		if parked {
			ended = pump(server, echo())
			eventually(t, "parked", server.Parked)
		}
		send(t, client, "request")
		client.CloseWrite()
		if !parked {
			ended = pump(server, echo())
		}
		receive(t, client, "request")
		wantNext(t, ended, transport.Close)
		server.Close()
		client.Close()
	}
}

// A connection that comes back from ordinary reads knows of an end that came
// with the bytes they read.
func TestSpentEdgeAfterLeave(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		for range 100 {
			client, server := connect(t, ln)
			leave := pump(server, &steps{f: func(in []byte, end bool) ([]byte, transport.Next) {
				if len(in) > 0 {
					return nil, transport.Leave
				}
				return nil, transport.Park
			}})
			eventually(t, "parked", server.Parked) // and so in the hang-up set
			send(t, client, "head")
			wantNext(t, leave, transport.Leave)
			send(t, client, "body")
			client.CloseWrite()
			receive(t, server, "body")
			wantNext(t, pump(server, echo()), transport.Close)
			server.Close()
			client.Close()
		}
	})
}

// A wake makes the runtime forget an edge. What the hang-up set has told is kept
// through any number of reads that bring bytes, until one says that this is the end.
func TestSpentEdgeAfterWake(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		client, server := connect(t, ln)
		gone := make(chan bool, 2)
		server.Watch(func(reset bool) { gone <- reset })
		ended := pump(server, &steps{f: func(in []byte, end bool) ([]byte, transport.Next) {
			if len(in) > 0 {
				send(t, client, "second")
				client.CloseWrite()
				<-gone
				server.Wake()
			}
			return in, transport.Park
		}})
		eventually(t, "parked", server.Parked)
		send(t, client, "first")
		wantNext(t, ended, transport.Park)
		ended = pump(server, echo())
		receive(t, client, "firstsecond")
		wantNext(t, ended, transport.Close)
	})
}

// A deadline set while Pump waits is taken away. The runtime would report it anew
// for each wait.
func TestDeadlineWhileParkedCostsNothing(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		client, server := connect(t, ln)
		ended := pump(server, echo())
		eventually(t, "parked", server.Parked)
		server.SetReadDeadline(time.Unix(1, 0))
		before := processorTime(t)
		const long = 50 * time.Millisecond
		time.Sleep(long)
		if used := processorTime(t) - before; used > long/2 {
			t.Errorf("waiting took %v of %v", used, long)
		}
		send(t, client, "still there?")
		receive(t, client, "still there?")
		server.Wake()
		wantNext(t, ended, transport.Park)
	})
}

// processorTime is what this process has used so far.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Urgent data is not part of the stream; a peer that sends it waits for its
// timeout at worst, and is woken for that.
func TestUrgentData(t *testing.T) {
	ln := listeners["tcp"](t)
	defer ln.Close()
	for range 50 {
		client, server := connect(t, ln)
		ended := pump(server, echo())
		eventually(t, "parked", server.Parked)
		before := processorTime(t)
		onSocket(t, client, func(fd int) error {
			if err := syscall.Sendto(fd, []byte("ab!"), syscall.MSG_OOB, nil); err != nil { // ! is the urgent byte
				return err
			}
			_, err := syscall.Write(fd, []byte("cd"))
			return err
		})
		receive(t, client, "ab") // it may wait with cd
		time.Sleep(time.Millisecond)
		if used := processorTime(t) - before; used > patience/100 {
			t.Errorf("used %v", used)
		}
		eventually(t, "parked", server.Parked)
		server.Wake()
		wantNext(t, ended, transport.Park)
		send(t, client, "ef")
		ended = pump(server, echo())
		receive(t, client, "cdef")
		client.CloseWrite()
		wantNext(t, ended, transport.Close)
	}
}

// A descriptor sent along (SCM_RIGHTS) ends a read where it stands, although more is
// there: the same holds. It is closed by the kernel, since nobody takes it.
func TestDescriptorSentAlong(t *testing.T) {
	ln := listeners["unix"](t)
	defer ln.Close()
	client, server := connect(t, ln)
	before := files(t)
	ended := pump(server, &steps{f: func(in []byte, end bool) ([]byte, transport.Next) {
		if string(in) == "begin" { // while this goes on, so that both are there at once
			onSocket(t, client, func(fd int) error {
				return syscall.Sendmsg(fd, []byte("ab"), syscall.UnixRights(0), nil, 0)
			})
			send(t, client, "cd")
		}
		return in, transport.Park
	}})
	eventually(t, "parked", server.Parked)
	send(t, client, "begin")
	receive(t, client, "beginab")
	server.Wake()
	wantNext(t, ended, transport.Park)
	ended = pump(server, echo())
	receive(t, client, "cd")
	client.CloseWrite()
	wantNext(t, ended, transport.Close)
	if n := files(t); n > before {
		t.Errorf("%d descriptors, want %d", n, before)
	}
}

// Nothing that is done with a closed connection reaches the one that has got its
// descriptor's number since.
func TestDescriptorsAreUsedAgain(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		const rounds, servers = 1500, 4
		before := files(t)
		var all sync.WaitGroup
		var connecting sync.Mutex // so that the two ends are of one connection
		for range servers {
			all.Go(func() {
				for i := range rounds / servers {
					connecting.Lock()
					client, server := connectOnly(t, ln)
					connecting.Unlock()
					var others sync.WaitGroup
					ended := pump(server, &steps{f: func(in []byte, end bool) ([]byte, transport.Next) {
						if len(in) == 0 {
							return nil, transport.Park
						}
						if i%3 == 0 { // by another, while this goes on
							others.Go(func() {
								server.Wake()
								server.CloseWrite()
							})
						}
						return []byte("answer"), transport.Close
					}})
					if i%4 == 0 {
						server.Watch(func(bool) {})
					}
					send(t, client, "request")
					if got, err := io.ReadAll(io.LimitReader(client, 6)); string(got) != "answer" && i%3 != 0 || err != nil {
						t.Errorf("got %q, %v", got, err)
					}
					<-ended
					server.Close()
					for range 2 { // all of it too late
						others.Go(func() {
							server.SetLinger(0)
							server.SetDeadline(time.Unix(1, 0))
							server.Wake()
							server.CloseWrite()
							server.Write([]byte("stray"))
							server.Close()
							server.LocalAddr()
						})
					}
					if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF && i%3 != 0 {
						t.Errorf("then %d bytes, %v", n, err)
					}
					client.Close()
					others.Wait()
				}
			})
		}
		within(t, "exchanges", all.Wait)
		eventually(t, "all descriptors closed", func() bool { return files(t) <= before })
	})
}

// What a closed connection says, whether the poller ever knew it or not.
func TestClosed(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		for _, used := range []bool{false, true} {
			_, server := connect(t, ln)
			if used {
				server.SetDeadline(time.Time{})
			}
			if err := server.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			_, rawErr := server.SyscallConn()
			_, readErr := server.Read(make([]byte, 1))
			_, writeErr := server.Write([]byte("x"))
			_, copyErr := server.ReadFrom(file(t, "x"))
			for what, err := range map[string]error{
				"Close": server.Close(), "Read": readErr, "Write": writeErr, "ReadFrom": copyErr,
				"CloseRead": server.CloseRead(), "CloseWrite": server.CloseWrite(), "SetLinger": server.SetLinger(0),
				"SetReadDeadline": server.SetReadDeadline(time.Now()), "Watch": server.Watch(func(bool) { t.Error("told after Close") }),
			} {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("%s: %v, want net.ErrClosed", what, err)
				}
				if op, ok := err.(*net.OpError); !ok || op.Net != ln.Addr().Network() {
					t.Errorf("%s: %#v, want a *net.OpError", what, err)
				}
			}
			if !used && !errors.Is(rawErr, net.ErrClosed) {
				t.Errorf("SyscallConn: %v, want net.ErrClosed", rawErr)
			}
			wantNext(t, pump(server, echo()), transport.Close)
		}
	})
}

// A connection from a descriptor is like an accepted one.
func TestFromFile(t *testing.T) {
	client, server := socketpair(t)
	defer server.Close()
	ended := pump(server, echo())
	send(t, client, "x")
	receive(t, client, "x")
	client.Close()
	wantNext(t, ended, transport.Close)
	if got := fmt.Sprint(server.LocalAddr().Network(), server.RemoteAddr().Network()); got != "unixunix" {
		t.Errorf("networks %s", got)
	}
}

// socketpair is a connection that no listener has to do with; both ends are the
// caller's to close.
func socketpair(t testing.TB) (client, server *socket.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	client = socket.FromFile(os.NewFile(uintptr(fds[0]), "client"), "unix")
	return client, socket.FromFile(os.NewFile(uintptr(fds[1]), "server"), "unix")
}

// A handler that fails to return normally leaves nothing behind: the panic is the
// server's business, the connection is closed like any other.
func TestPanicInStep(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		client, server := connect(t, ln)
		ended := make(chan any, 1)
		go func() {
			defer func() { ended <- recover() }()
			server.Pump(&steps{f: func(in []byte, end bool) ([]byte, transport.Next) {
				if len(in) > 0 {
					server.Close() // which Pump must still carry out
					panic("on purpose")
				}
				return nil, transport.Park
			}}, nil)
		}()
		send(t, client, "x")
		if p := <-ended; p != "on purpose" {
			t.Errorf("panic %v", p)
		}
		receiveEnd(t, client)
		rc, _ := server.SyscallConn()
		if rc != nil {
			if err := rc.Control(func(uintptr) {}); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the descriptor is still open: %v", err)
			}
		}
	})
}

func TestUnread(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		client, server := connect(t, ln)
		want := func(when string, want bool) {
			t.Helper()
			if server.Unread() != want {
				t.Errorf("%s: %v, want %v", when, !want, want)
			}
		}
		want("at first", false)
		if _, err := client.Write([]byte("ab")); err != nil {
			t.Fatal(err)
		}
		want("after two bytes", true)
		if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		want("after one of them was read", true)
		if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		want("after both were read", false)
		client.Close()
		want("after the end", false)
		server.Close()
		want("after Close", false)
	})
}
