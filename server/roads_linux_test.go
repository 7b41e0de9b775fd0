package server_test

import (
	"context"
	stdtls "crypto/tls"
	"crypto/x509"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"postern/server"
	"postern/transport"
	"postern/transport/memory"
	"postern/transport/tcp"
	"postern/transport/tls"
	"postern/transport/unix"
)

// road is a way to a server.
type road struct {
	name string
	// dial returns a connection, and a function that reports whether the server has
	// taken all that was sent.
	dial func() (c net.Conn, taken func() bool, err error)
}

// roads starts a server that listens on every transport: pumped on those that pump,
// and by ordinary reads and writes.
func roads(t testing.TB, h server.Handler, cfg server.Config) (*server.Server, []road) {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = quiet()
	}
	s := server.New(h, cfg)
	t.Cleanup(func() { s.Close() })
	listenTCP := func() net.Listener {
		ln, err := tcp.Listen(tcp.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	dialTCP := func(ln net.Listener) func() (net.Conn, error) {
		return func() (net.Conn, error) {
			return tcp.Dial(context.Background(), tcp.Config{Addr: ln.Addr().String()})
		}
	}
	plain, wrapped, below := listenTCP(), listenTCP(), listenTCP()
	local, hidden := memory.Listen(memory.Config{}), memory.Listen(memory.Config{})
	dialMemory := func(ln *memory.Listener) func() (net.Conn, error) {
		return func() (net.Conn, error) { return ln.Dial(context.Background()) }
	}
	path := filepath.Join(t.TempDir(), "s")
	file, err := unix.Listen(unix.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	dialUnix := func() (net.Conn, error) { return unix.Dial(context.Background(), path) }

	listen, client := secured(t)
	var all []road
	for _, r := range []struct {
		name   string
		inner  net.Listener
		dial   func() (net.Conn, error)
		pumped bool
		secure bool
	}{
		{"memory", local, dialMemory(local), false, false},
		{"tcp", plain, dialTCP(plain), true, false},
		{"tcp, ordinary", wrapped, dialTCP(wrapped), false, false},
		{"unix", file, dialUnix, true, false},
		{"tls", below, dialTCP(below), true, true},
		{"tls, ordinary", hidden, dialMemory(hidden), false, true},
	} {
		tap := &tap{Listener: r.inner, pumped: r.pumped, accepted: make(chan net.Conn, 1)}
		ln, dial := net.Listener(tap), tap.dialer(r.dial)
		if r.secure {
			ln, dial = listen(tap), client(dial)
		}
		go s.Serve(server.Listener{Listener: ln, Name: r.name}) // ends with the server
		all = append(all, road{r.name, dial})
	}
	return s, all
}

type dialer = func() (net.Conn, func() bool, error)

// secured returns what puts TLS around a listener and around a dialer.
func secured(t testing.TB) (listen func(net.Listener) net.Listener, client func(dialer) dialer) {
	t.Helper()
	cert, err := tls.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	certs, err := tls.NewCertificates(tls.CertificatesConfig{Sources: []tls.Source{{Certificate: cert}}})
	if err != nil {
		t.Fatal(err)
	}
	trust := x509.NewCertPool()
	trust.AddCert(cert.Leaf)
	config := &stdtls.Config{ServerName: "localhost", RootCAs: trust, ClientSessionCache: stdtls.NewLRUClientSessionCache(0)}
	listen = func(inner net.Listener) net.Listener {
		ln, err := tls.NewListener(inner, tls.Config{Certificates: certs})
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	client = func(dial dialer) dialer {
		return func() (net.Conn, func() bool, error) {
			c, taken, err := dial()
			if err != nil {
				return nil, nil, err
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			over, err := tls.Client(ctx, c, config)
			if err != nil {
				return nil, nil, err
			}
			return over, taken, nil
		}
	}
	return listen, client
}

// tap is a listener whose dialers get to know the server's end.
type tap struct {
	net.Listener
	pumped   bool
	mu       sync.Mutex // one dials at a time
	accepted chan net.Conn
}

func (l *tap) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !l.pumped {
		c = &counted{Conn: c}
	}
	l.accepted <- c
	return c, nil
}

func (l *tap) dialer(dial func() (net.Conn, error)) dialer {
	return func() (net.Conn, func() bool, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		c, err := dial()
		if err != nil {
			return nil, nil, err
		}
		server := <-l.accepted
		if l.pumped {
			return c, func() bool { return !unread(server.(syscall.Conn)) }, nil
		}
		ours, theirs := &counted{Conn: c}, &server.(*counted).read
		return ours, func() bool { return theirs.Load() == ours.written.Load() }, nil
	}
}

// counted is a connection that cannot drive a Pump, and counts.
type counted struct {
	net.Conn
	read, written atomic.Int64
}

var _ = transport.PumperOf(&counted{}) == nil

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

func (c *counted) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// unread reports whether a socket has received what nobody has read.
func unread(c syscall.Conn) (some bool) {
	rc, err := c.SyscallConn()
	if err != nil {
		return false // it is closed
	}
	_ = rc.Control(func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		some = err == nil && n > 0
	})
	return some
}

// settle waits until the server has taken what was sent, so that what is sent next
// comes by itself. It gives up early: a cut that the server does not see costs no
// more than that. It does not look at once: the server's end is left alone until it
// has parked for the first time.
func settle(taken func() bool) {
	for wait := 20 * time.Microsecond; wait < 20*time.Millisecond; wait *= 2 {
		if time.Sleep(min(wait, time.Millisecond)); taken() {
			return
		}
	}
}

// ended waits until a server has no connection left.
func ended(t *testing.T, s *server.Server) {
	t.Helper()
	for start := time.Now(); s.Stats().Conns > 0; time.Sleep(time.Millisecond) {
		if time.Since(start) > patience {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d connections are left open\n%s", s.Stats().Conns, buf[:runtime.Stack(buf, true)])
		}
	}
}
