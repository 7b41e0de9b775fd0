package proxyproto_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/transport"
	"postern/transport/memory"
	"postern/transport/proxyproto"
	"postern/transport/tcp"
	"postern/transport/transporttest"
)

// patience is how long a test waits for what should come at once.
const patience = 10 * time.Second

const line = "PROXY TCP4 192.0.2.1 198.51.100.2 1111 80\r\n"

// listen puts a listener on inner that trusts all, unless c says otherwise.
func listen(t testing.TB, inner net.Listener, c proxyproto.Config) *proxyproto.Listener {
	t.Helper()
	if c.Trusted == nil {
		c.Trusted = proxyproto.TrustAll
	}
	ln, err := proxyproto.NewListener(inner, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func listenTCP(t testing.TB) net.Listener {
	t.Helper()
	ln, err := tcp.Listen(tcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// pair returns both ends of a connection over inner, which nothing was sent on.
func pair(t testing.TB, inner net.Listener, c proxyproto.Config) (client, server net.Conn) {
	t.Helper()
	ln := listen(t, inner, c)
	var err error
	if m, ok := inner.(*memory.Listener); ok {
		client, err = m.Dial(t.Context())
	} else {
		client, err = tcp.Dial(t.Context(), tcp.Config{Addr: inner.Addr().String()})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client, server
}

// overBoth runs a test over a transport without and with the fast path.
func overBoth(t *testing.T, test func(t *testing.T, inner net.Listener)) {
	t.Run("memory", func(t *testing.T) { test(t, memory.Listen(memory.Config{})) })
	t.Run("tcp", func(t *testing.T) { test(t, listenTCP(t)) })
}

func send(t testing.TB, to net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(to, text); err != nil {
		t.Fatal(err)
	}
}

func wantRead(t testing.TB, from net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(from, b); string(b) != want || err != nil {
		t.Errorf("read %q, %v, want %q", b, err, want)
	}
}

func TestConformance(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		transporttest.Run(t, func(t testing.TB) (net.Listener, transporttest.Dial) {
			inner := memory.Listen(memory.Config{})
			return listen(t, inner, proxyproto.Config{}), func(ctx context.Context) (net.Conn, error) {
				conn, err := inner.Dial(ctx)
				if err == nil {
					_, err = io.WriteString(conn, "PROXY UNKNOWN\r\n")
				}
				return conn, err
			}
		})
	})
	t.Run("tcp", func(t *testing.T) { transporttest.Run(t, openTCP) })
}

// openTCP is a listener over TCP whose clients send a header with their own addresses.
func openTCP(t testing.TB) (net.Listener, transporttest.Dial) {
	inner := listenTCP(t)
	return listen(t, inner, proxyproto.Config{}), func(ctx context.Context) (net.Conn, error) {
		conn, err := tcp.Dial(ctx, tcp.Config{Addr: inner.Addr().String()})
		if err != nil {
			return nil, err
		}
		h := header(2, conn.LocalAddr().String(), conn.RemoteAddr().String())
		b, err := h.Append(nil)
		if err == nil {
			_, err = conn.Write(b)
		}
		return conn, err
	}
}

// A counter counts what is read from a connection.
type counter struct {
	net.Conn
	read int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read += n
	return n, err
}

type counting struct{ net.Listener }

func (l counting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &counter{Conn: conn}, err
}

// Each good header, whole with a request behind it: its addresses are the
// connection's, and not a byte of the request is read.
func TestReadsNothingBeyond(t *testing.T) {
	for _, tt := range good {
		t.Run(tt.name, func(t *testing.T) {
			inner := memory.Listen(memory.Config{})
			ln := listen(t, counting{inner}, proxyproto.Config{})
			client, err := inner.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			send(t, client, tt.wire+"GET")
			server, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			remote, local := "memory:1", "memory:0"
			if tt.want.Source.IsValid() {
				// As package net writes them: an IPv4 address within an IPv6 one is one.
				remote = net.TCPAddrFromAddrPort(tt.want.Source).String()
				local = net.TCPAddrFromAddrPort(tt.want.Destination).String()
			}
			if got := server.RemoteAddr().String(); got != remote {
				t.Errorf("RemoteAddr() = %s, want %s", got, remote)
			}
			if got := server.LocalAddr().String(); got != local {
				t.Errorf("LocalAddr() = %s, want %s", got, local)
			}
			below := server.(*proxyproto.Conn).NetConn()
			if got := below.(*counter).read; got != len(tt.wire) {
				t.Errorf("%d bytes were read of a header of %d", got, len(tt.wire))
			}
			if got := below.RemoteAddr().String(); got != "memory:1" {
				t.Errorf("the proxy is %s, want memory:1", got)
			}
			wantRead(t, server, "GET")
		})
	}
}

func TestByteByByte(t *testing.T) {
	for _, tt := range good {
		t.Run(tt.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, inner net.Listener) {
				client, server := pair(t, inner, proxyproto.Config{})
				go func() { // ends with the last byte
					for _, b := range []byte(tt.wire + "GET") {
						client.Write([]byte{b})
					}
				}()
				wantRead(t, server, "GET")
				h, err := server.(*proxyproto.Conn).Header()
				if err != nil || !reflect.DeepEqual(*h, tt.want) {
					t.Errorf("Header() = %+v, %v, want %+v", h, err, tt.want)
				}
			})
		})
	}
}

// Whatever is wrong, the peer gets nothing, and every call the same error.
func TestRefused(t *testing.T) {
	overBoth(t, func(t *testing.T, inner net.Listener) {
		var mu sync.Mutex
		var told []error
		client, server := pair(t, inner, proxyproto.Config{Refused: func(peer net.Addr, err error) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, err)
		}})
		send(t, client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		_, first := server.Read(make([]byte, 1))
		var e *proxyproto.Error
		want := "proxyproto: header from " + client.LocalAddr().String() + ": proxyproto: byte 0: no header of the PROXY protocol but \"GET / HTTP/1.1\\r\""
		if !errors.As(first, &e) || first.Error() != want {
			t.Errorf("Read: %v\nwant: %s", first, want)
		}
		if _, err := server.Write([]byte("x")); err != first {
			t.Errorf("Write: %v", err)
		}
		if _, err := server.(io.ReaderFrom).ReadFrom(strings.NewReader("x")); err != first {
			t.Errorf("ReadFrom: %v", err)
		}
		if got := server.RemoteAddr(); got.String() != client.LocalAddr().String() {
			t.Errorf("RemoteAddr() = %v, want the peer's own %v", got, client.LocalAddr())
		}
		if p := transport.PumperOf(server); p != nil {
			p.Rest()
			if next := p.Pump(nil, nil); next != transport.Close {
				t.Errorf("Pump: %v, want Close", next)
			}
		}
		client.SetReadDeadline(time.Now().Add(patience))
		if n, err := client.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the peer read %d bytes, %v, want the end", n, err)
		}
		if err := server.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Close: %v, want net.ErrClosed", err)
		}
		if len(told) != 1 || told[0] != first {
			t.Errorf("Refused was told %v, want the error once", told)
		}
	})
}

func TestPeerEnds(t *testing.T) {
	for _, sent := range []string{"", "PROXY TCP4", line[:len(line)-1]} {
		client, server := pair(t, memory.Listen(memory.Config{}), proxyproto.Config{})
		send(t, client, sent)
		client.Close()
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %q and an end: %v, want io.ErrUnexpectedEOF", sent, err)
		}
	}
}

// A peer that says nothing, or not enough, has five seconds, whatever is called and
// whatever the read deadline is.
func TestSilence(t *testing.T) {
	for name, wait := range map[string]func(net.Conn) error{
		"read":        func(c net.Conn) error { _, err := c.Read(make([]byte, 1)); return err },
		"write":       func(c net.Conn) error { _, err := c.Write(nil); return err },
		"remote":      func(c net.Conn) error { c.RemoteAddr(); _, err := c.Read(nil); return err },
		"later limit": func(c net.Conn) error { c.SetDeadline(time.Now().Add(time.Hour)); _, err := c.Read(nil); return err },
	} {
		synctest.Test(t, func(t *testing.T) {
			refused := 0
			client, server := pair(t, memory.Listen(memory.Config{}), proxyproto.Config{Refused: func(net.Addr, error) { refused++ }})
			send(t, client, "PROXY TCP4 1.2.3")
			begin := time.Now()
			err := wait(server)
			if err == nil || !strings.HasSuffix(err.Error(), "none within 5s") || time.Since(begin) != 5*time.Second || refused != 1 {
				t.Errorf("%s: %v after %v, %d refused", name, err, time.Since(begin), refused)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v looks like one that a new deadline cures", name, err)
			}
		})
	}
}

// A read deadline interrupts the header and no more.
func TestReadDeadlineWithinHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t, memory.Listen(memory.Config{}), proxyproto.Config{})
		send(t, client, line[:20])
		server.SetReadDeadline(time.Now().Add(time.Second))
		_, err := server.Read(make([]byte, 1))
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Fatalf("Read: %v, want a timeout", err)
		}
		if got := server.RemoteAddr().String(); got != "memory:1" {
			t.Errorf("RemoteAddr() past the deadline = %s, want the peer's own", got)
		}
		go func() { // ends with the header
			time.Sleep(time.Second)
			io.WriteString(client, line[20:]+"GET")
		}()
		server.SetReadDeadline(time.Time{})
		wantRead(t, server, "GET")
		if got := server.RemoteAddr().String(); got != "192.0.2.1:1111" {
			t.Errorf("RemoteAddr() = %s", got)
		}
		// The deadline that was set before the header is the connection's afterwards.
		client, server = pair(t, memory.Listen(memory.Config{}), proxyproto.Config{Timeout: -1})
		server.SetReadDeadline(time.Now().Add(time.Minute))
		send(t, client, line)
		begin := time.Now()
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Minute {
			t.Errorf("Read: %v after %v, want a timeout after a minute", err, time.Since(begin))
		}
	})
}

// Nothing goes to a peer before its header is there.
func TestWriteWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t, memory.Listen(memory.Config{}), proxyproto.Config{})
		go io.WriteString(server, "hello") // ends when the client has read it
		client.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := client.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the peer read %d bytes, %v", n, err)
		}
		client.SetReadDeadline(time.Time{})
		send(t, client, line)
		wantRead(t, client, "hello")
	})
}

func TestCloseEndsWaiting(t *testing.T) {
	overBoth(t, func(t *testing.T, inner net.Listener) {
		_, server := pair(t, inner, proxyproto.Config{Refused: func(net.Addr, error) { t.Error("refused") }})
		done := make(chan error)
		go func() {
			_, err := server.Read(make([]byte, 1))
			done <- err
		}()
		server.Close()
		select {
		case err := <-done:
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("Read: %v, want net.ErrClosed", err)
			}
		case <-time.After(patience):
			t.Fatal("Read goes on")
		}
	})
}

func TestMaxHeader(t *testing.T) {
	const size = 16 + 12 + 3 + 1000
	h := header(2, "1.2.3.4:5", "6.7.8.9:10")
	h.TLVs = append([]byte{proxyproto.TypeNoop, 1000 >> 8, 1000 & 0xff}, make([]byte, 1000)...)
	wire, err := h.Append(nil)
	if err != nil || len(wire) != size {
		t.Fatal(len(wire), err)
	}
	for _, tt := range []struct {
		max int
		ok  bool
	}{{0, true}, {-1, true}, {size, true}, {size - 1, false}} {
		client, server := pair(t, memory.Listen(memory.Config{}), proxyproto.Config{MaxHeader: tt.max})
		send(t, client, string(wire))
		_, err := server.Write(nil)
		if tt.ok && err != nil || !tt.ok && (err == nil || !strings.HasSuffix(err.Error(), "byte 14: 1031 bytes, and 1030 are allowed")) {
			t.Errorf("MaxHeader %d: %v", tt.max, err)
		}
	}
}

func TestTrust(t *testing.T) {
	trusted := proxyproto.TrustPrefixes(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fe80::/10"))
	for addr, want := range map[net.Addr]bool{
		&net.TCPAddr{IP: net.IPv4(10, 1, 2, 3).To4()}:          true,
		&net.TCPAddr{IP: net.IPv4(10, 1, 2, 3)}:                true, // 16 bytes
		&net.TCPAddr{IP: net.IPv4(11, 1, 2, 3)}:                false,
		&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}: true,
		&net.TCPAddr{IP: net.ParseIP("2001:db8::1")}:           false,
		&net.TCPAddr{}: false,
		&net.UnixAddr{Name: "/run/10.0.0.1", Net: "unix"}: false,
	} {
		if got := trusted(addr); got != want {
			t.Errorf("%v: %v, want %v", addr, got, want)
		}
		if !proxyproto.TrustAll(addr) {
			t.Errorf("TrustAll does not trust %v", addr)
		}
	}
	_, err := proxyproto.NewListener(memory.Listen(memory.Config{}), proxyproto.Config{})
	if err == nil || !strings.Contains(err.Error(), "Config.Trusted is nil") {
		t.Errorf("without Trusted: %v", err)
	}
}

// The third to connect is trusted; the others are closed, or passed as they are.
func TestUntrusted(t *testing.T) {
	third := func(peer net.Addr) bool { return peer.String() == "memory:3" }
	for _, pass := range []bool{false, true} {
		var told []string
		inner := memory.Listen(memory.Config{})
		ln := listen(t, inner, proxyproto.Config{Trusted: third, PassOthers: pass, Refused: func(peer net.Addr, err error) {
			if err != proxyproto.ErrUntrusted {
				t.Errorf("%v: %v", peer, err)
			}
			told = append(told, peer.String())
		}})
		var clients [3]net.Conn
		for i := range clients {
			client, err := inner.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			send(t, client, line)
			clients[i] = client
		}
		for _, client := range clients[:2] {
			if pass {
				server, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				if got := server.RemoteAddr().String(); got != client.LocalAddr().String() {
					t.Errorf("RemoteAddr() = %s, want %s", got, client.LocalAddr())
				}
				wantRead(t, server, line)
			}
		}
		server, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := server.RemoteAddr().String(); got != "192.0.2.1:1111" {
			t.Errorf("RemoteAddr() = %s", got)
		}
		if pass != (len(told) == 0) || !pass && len(told) != 2 {
			t.Errorf("pass %v: Refused was told of %q", pass, told)
		}
		if !pass {
			if _, err := clients[0].Read(make([]byte, 1)); err == nil {
				t.Error("one that is not trusted read something")
			}
		}
	}
}

// What the connection below lacks is said to be lacking; it does not drive either.
func TestLacking(t *testing.T) {
	client, server := pair(t, memory.Listen(memory.Config{}), proxyproto.Config{})
	send(t, client, line)
	if transport.PumperOf(server) != nil {
		t.Error("a connection over memory claims to drive")
	}
	c := server.(*proxyproto.Conn)
	if err := c.Watch(nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Watch: %v", err)
	}
	if err := c.SetLinger(0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SetLinger: %v", err)
	}
	if _, err := c.SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SyscallConn: %v", err)
	}
	if n, err := c.ReadFrom(strings.NewReader("hello")); n != 5 || err != nil {
		t.Errorf("ReadFrom: %d, %v", n, err)
	}
	wantRead(t, client, "hello")
}
