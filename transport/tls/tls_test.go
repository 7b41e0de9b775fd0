package tls_test

import (
	"context"
	stdtls "crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/transport/memory"
	"postern/transport/tcp"
	"postern/transport/tls"
	"postern/transport/transporttest"
	"postern/transport/unix"
)

// patience is how long a test waits for what should come at once.
const patience = 10 * time.Second

// selfSigned is tls.SelfSigned for tests.
func selfSigned(t testing.TB, names ...string) stdtls.Certificate {
	t.Helper()
	cert, err := tls.SelfSigned(names...)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// certificates are those of these values.
func certificates(t testing.TB, values ...stdtls.Certificate) *tls.Certificates {
	t.Helper()
	var c tls.CertificatesConfig
	for _, v := range values {
		c.Sources = append(c.Sources, tls.Source{Certificate: v})
	}
	certs, err := tls.NewCertificates(c)
	if err != nil {
		t.Fatal(err)
	}
	return certs
}

// trusting is the config of a client that believes these certificates.
func trusting(name string, certs ...stdtls.Certificate) *stdtls.Config {
	roots := x509.NewCertPool()
	for _, c := range certs {
		roots.AddCert(c.Leaf)
	}
	return &stdtls.Config{ServerName: name, RootCAs: roots}
}

// listener is a TLS listener over memory, and how to reach it.
type listener struct {
	*tls.Listener
	below *memory.Listener
}

func listen(t testing.TB, c tls.Config) listener {
	t.Helper()
	below := memory.Listen(memory.Config{})
	ln, err := tls.NewListener(below, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return listener{ln, below}
}

// raw returns the two ends of a connection before any handshake.
func (l listener) raw(t testing.TB) (client net.Conn, server *tls.Conn) {
	t.Helper()
	client, err := l.below.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return client, conn.(*tls.Conn)
}

// connect does the handshake from both sides and returns what came of it.
func (l listener) connect(t testing.TB, config *stdtls.Config) (client, server *tls.Conn, clientErr, serverErr error) {
	t.Helper()
	raw, server := l.raw(t)
	raw.SetDeadline(time.Now().Add(patience))
	done := make(chan error)
	go func() { done <- server.HandshakeContext(context.Background()) }()
	client, clientErr = tls.Client(t.Context(), raw, config)
	return client, server, clientErr, <-done
}

// pair is connect where both sides succeed.
func (l listener) pair(t testing.TB, config *stdtls.Config) (client, server *tls.Conn) {
	t.Helper()
	client, server, clientErr, serverErr := l.connect(t, config)
	if clientErr != nil || serverErr != nil {
		t.Fatalf("handshake: client %v, server %v", clientErr, serverErr)
	}
	t.Cleanup(func() { client.Close() })
	return client, server
}

// shaking does the handshakes of a listener as a server does, each beside the
// others, and accepts those that are done.
type shaking struct {
	net.Listener
	done   chan net.Conn
	closed chan struct{}
	once   sync.Once
	shake  sync.WaitGroup
}

func newShaking(ln net.Listener) *shaking {
	s := &shaking{Listener: ln, done: make(chan net.Conn), closed: make(chan struct{})}
	s.shake.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.shake.Go(func() {
				if conn.(*tls.Conn).HandshakeContext(context.Background()) == nil {
					select {
					case s.done <- conn:
						return
					case <-s.closed:
					}
				}
				conn.Close()
			})
		}
	})
	return s
}

func (s *shaking) Accept() (net.Conn, error) {
	select {
	case conn := <-s.done:
		return conn, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *shaking) Close() error {
	s.once.Do(func() { close(s.closed) })
	err := s.Listener.Close()
	s.shake.Wait()
	return err
}

// unlike are the cases in which TLS differs on purpose: what a peer sent has an
// authentic end also if it left bytes of ours unread. TestBrokenOff has the rest.
var unlike = map[string]bool{"reset": true}

func TestConformance(t *testing.T) {
	cert := selfSigned(t)
	config := trusting("localhost", cert)
	for name, below := range map[string]transporttest.Open{
		"tcp": func(t testing.TB) (net.Listener, transporttest.Dial) {
			ln, err := tcp.Listen(tcp.Config{})
			if err != nil {
				t.Fatal(err)
			}
			return ln, func(ctx context.Context) (net.Conn, error) {
				return tcp.Dial(ctx, tcp.Config{Addr: ln.Addr().String()})
			}
		},
		"unix": func(t testing.TB) (net.Listener, transporttest.Dial) {
			path := filepath.Join(t.TempDir(), "s")
			ln, err := unix.Listen(unix.Config{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			return ln, func(ctx context.Context) (net.Conn, error) { return unix.Dial(ctx, path) }
		},
		"memory": overMemory,
	} {
		t.Run(name, func(t *testing.T) { conform(t, wrap(below, certificates(t, cert), config)) })
	}
}

// Every case passes in a bubble too: deadlines follow its clock.
func TestConformanceUnderSynctest(t *testing.T) {
	for name, check := range transporttest.Cases() {
		if unlike[name] {
			continue
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cert := selfSigned(t)
				check(t, wrap(overMemory, certificates(t, cert), trusting("localhost", cert)))
			})
		})
	}
}

func overMemory(testing.TB) (net.Listener, transporttest.Dial) {
	ln := memory.Listen(memory.Config{})
	return ln, ln.Dial
}

// wrap puts TLS around a transport.
func wrap(below transporttest.Open, certs *tls.Certificates, config *stdtls.Config) transporttest.Open {
	return func(t testing.TB) (net.Listener, transporttest.Dial) {
		inner, dial := below(t)
		ln, err := tls.NewListener(inner, tls.Config{Certificates: certs})
		if err != nil {
			t.Fatal(err)
		}
		return newShaking(ln), func(ctx context.Context) (net.Conn, error) {
			conn, err := dial(ctx)
			if err != nil {
				return nil, err
			}
			return tls.Client(ctx, conn, config)
		}
	}
}

func conform(t *testing.T, open transporttest.Open) {
	skipped := 0
	for name, check := range transporttest.Cases() {
		if unlike[name] {
			skipped++
			continue
		}
		t.Run(name, func(t *testing.T) { check(t, open) })
	}
	if skipped != len(unlike) {
		t.Errorf("%d cases left out, want %d", skipped, len(unlike))
	}
}

// A stream that was broken off does not look like one that ended: neither when
// its sender breaks it off nor when the connection below ends.
func TestBrokenOff(t *testing.T) {
	cert := selfSigned(t)
	l := listen(t, tls.Config{Certificates: certificates(t, cert)})
	for name, end := range map[string]func(*tls.Conn) error{
		"SetLinger": func(c *tls.Conn) error { return errors.Join(c.SetLinger(0), c.Close()) },
		"below":     func(c *tls.Conn) error { return c.NetConn().Close() },
	} {
		client, server := l.pair(t, trusting("localhost", cert))
		if _, err := io.WriteString(server, "half of i"); err != nil {
			t.Fatal(err)
		}
		if err := end(server); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got, err := io.ReadAll(client)
		if string(got) != "half of i" || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: read %q, %v, want all that was sent and io.ErrUnexpectedEOF", name, got, err)
		}
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "read" || op.Addr.String() != "memory:0" {
			t.Errorf("%s: %v does not say where", name, err)
		}
	}
}

// Close gives up where CloseWrite would try on: at once when a write is overdue, and
// soon when there is no room for its last words.
func TestCloseOfAStalledConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cert := selfSigned(t)
		below := memory.Listen(memory.Config{})
		stuck := &stuckListener{Listener: below}
		ln, err := tls.NewListener(stuck, tls.Config{Certificates: certificates(t, cert)})
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		l := listener{ln, below}
		for _, c := range []struct {
			overdue bool
			end     func(*tls.Conn) error
			took    time.Duration
		}{
			{true, (*tls.Conn).Close, 0},
			{false, (*tls.Conn).Close, 250 * time.Millisecond},
			{true, (*tls.Conn).CloseWrite, 5 * time.Second},
			{false, (*tls.Conn).CloseWrite, 5 * time.Second},
		} {
			client, server := l.pair(t, trusting("localhost", cert))
			server.NetConn().(*stuckConn).stuck = true
			if c.overdue {
				server.SetWriteDeadline(time.Now().Add(time.Second))
				if n, err := server.Write([]byte("late")); n != 4 || !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("Write = %d, %v", n, err)
				}
			}
			began := time.Now()
			err := c.end(server)
			if took := time.Since(began); took != c.took || (took == 5*time.Second) != errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("overdue %v: took %v: %v, want %v", c.overdue, took, err, c.took)
			}
			server.Close()
			if got, err := io.ReadAll(client); len(got) > 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the client read %q, %v, want io.ErrUnexpectedEOF", got, err)
			}
		}
	})
}

// stuckListener accepts connections that can be made to take nothing more.
type stuckListener struct{ net.Listener }

type stuckConn struct {
	net.Conn
	full  net.Conn
	stuck bool
}

func (l *stuckListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	full, _ := memory.Pipe()
	full.SetWriteDeadline(time.Now().Add(time.Nanosecond))
	full.Write(make([]byte, 1<<20))
	return &stuckConn{Conn: conn, full: full}, nil
}

func (c *stuckConn) Write(p []byte) (int, error) {
	if c.stuck {
		return c.full.Write(p)
	}
	return c.Conn.Write(p)
}

func (c *stuckConn) SetWriteDeadline(t time.Time) error {
	c.full.SetWriteDeadline(t)
	return c.Conn.SetWriteDeadline(t)
}

// What crypto/tls writes on its own while a write is overdue is held up to a limit:
// a client may ask for new keys again and again, and read nothing.
func TestOverdueBytesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cert := selfSigned(t)
		l := listen(t, tls.Config{Certificates: certificates(t, cert)})
		_, server := l.pair(t, trusting("localhost", cert))
		server.SetWriteDeadline(time.Now().Add(time.Second))
		var err error
		for err == nil {
			_, err = server.Write(make([]byte, 10_000))
		}
		held := 0
		for err = nil; err == nil && held < 1<<20; held += 1000 {
			_, err = server.TLS().Write(make([]byte, 1000))
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || held < 10_000 || held > 50_000 {
			t.Errorf("%d bytes were held: %v", held, err)
		}
	})
}

// CloseWrite half-closes the connection below as well.
func TestCloseWriteBelow(t *testing.T) {
	cert := selfSigned(t)
	l := listen(t, tls.Config{Certificates: certificates(t, cert)})
	client, server := l.pair(t, trusting("localhost", cert))
	if err := server.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	client.SetDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, client.NetConn()); err != nil {
		t.Errorf("below the client reads to %v, want the end", err)
	}
}

// What a deadline left of a write goes out with the next one, an empty one too.
func TestWriteGoesOnAfterADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cert := selfSigned(t)
		l := listen(t, tls.Config{Certificates: certificates(t, cert)})
		client, server := l.pair(t, trusting("localhost", cert))
		content := []byte(strings.Repeat("0123456789", 30_000))
		sent, timeouts := 0, 0
		var got []byte
		for sent < len(content) || timeouts == 0 {
			server.SetWriteDeadline(time.Now().Add(time.Second))
			n, err := server.Write(content[sent:])
			sent += n
			var timeout net.Error
			switch {
			case errors.As(err, &timeout) && timeout.Timeout():
				timeouts++
			case err != nil:
				t.Fatal(err)
			}
			some := make([]byte, 50_000)
			n, err = io.ReadAtLeast(client, some, 20_000)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, some[:n]...)
		}
		server.SetWriteDeadline(time.Time{})
		flushed := make(chan error)
		go func() {
			_, err := server.Write(nil)
			flushed <- err
		}()
		rest := make([]byte, len(content)-len(got))
		if _, err := io.ReadFull(client, rest); err != nil {
			t.Fatal(err)
		}
		if err := <-flushed; err != nil {
			t.Errorf("the empty write: %v", err)
		}
		if string(append(got, rest...)) != string(content) || timeouts < 2 {
			t.Errorf("%d bytes arrived that are not the %d sent, with %d timeouts", len(got)+len(rest), len(content), timeouts)
		}
	})
}

// A Write of many records is one write below.
func TestRecordsAreWrittenTogether(t *testing.T) {
	cert := selfSigned(t)
	below := memory.Listen(memory.Config{Buffer: 1 << 20})
	counting := &countingListener{Listener: below}
	ln, err := tls.NewListener(counting, tls.Config{Certificates: certificates(t, cert)})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, server := listener{ln, below}.pair(t, trusting("localhost", cert))
	before := counting.writes
	if _, err := server.Write(make([]byte, 16_000)); err != nil {
		t.Fatal(err)
	}
	if n := counting.writes - before; n != 1 {
		t.Errorf("%d writes, want 1", n)
	}
}

type countingListener struct {
	net.Listener
	writes int
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return countingConn{conn, l}, err
}

type countingConn struct {
	net.Conn
	ln *countingListener
}

func (c countingConn) Write(p []byte) (int, error) {
	c.ln.writes++
	return c.Conn.Write(p)
}
