package tcp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/transport/tcp"
	"postern/transport/transporttest"
)

// listen is Listen for tests: the listener closes with the test.
func listen(t testing.TB, c tcp.Config) *tcp.Listener {
	t.Helper()
	ln, err := tcp.Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// needIPv6 skips a test on machines without IPv6.
func needIPv6(t testing.TB) {
	t.Helper()
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6: %v", err)
	}
	ln.Close()
}

func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name   string
		config tcp.Config
	}{
		{"IPv4", tcp.Config{}},
		{"IPv6", tcp.Config{Addr: "[::1]:0"}},
		{"Nagle", tcp.Config{Nagle: true, KeepAliveIdle: -1, UserTimeout: -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "IPv6" {
				needIPv6(t)
			}
			transporttest.Run(t, func(t testing.TB) (net.Listener, transporttest.Dial) {
				ln, err := tcp.Listen(c.config)
				if err != nil {
					t.Fatal(err)
				}
				dial := c.config
				dial.Addr = ln.Addr().String()
				return ln, func(ctx context.Context) (net.Conn, error) { return tcp.Dial(ctx, dial) }
			})
		})
	}
}

// The host of a listening address says which families it takes.
func TestHostChoosesTheFamily(t *testing.T) {
	needIPv6(t)
	for _, c := range []struct {
		addr       string
		ipv4, ipv6 bool
	}{
		{"", true, false},
		{"127.0.0.1:0", true, false},
		{"0.0.0.0:0", true, false},
		{"[::ffff:127.0.0.1]:0", true, false},
		{"[::1]:0", false, true},
		{"[::]:0", false, true},
		{":0", true, true},
	} {
		ln := listen(t, tcp.Config{Addr: c.addr})
		port := ln.Addr().(*net.TCPAddr).Port
		for host, want := range map[string]bool{"127.0.0.1": c.ipv4, "[::1]": c.ipv6} {
			conn, err := tcp.Dial(t.Context(), tcp.Config{Addr: fmt.Sprintf("%s:%d", host, port)})
			if err == nil {
				conn.Close()
			}
			if got := err == nil; got != want {
				t.Errorf("Listen(%q): %s answers is %v (%v), want %v", c.addr, host, got, err, want)
			}
		}
	}
}

func TestAddressInUse(t *testing.T) {
	ln := listen(t, tcp.Config{})
	addr := ln.Addr().String()
	_, err := tcp.Listen(tcp.Config{Addr: addr})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen(%s) = %v, want EADDRINUSE", addr, err)
	}
	wantError(t, err, "tcp: ", addr)
}

func TestBadAddresses(t *testing.T) {
	for addr, wrong := range map[string]string{
		"127.0.0.1":          "127.0.0.1: missing port",
		"127.0.0.1:notaport": "notaport",
		"[::1:0":             "[::1:0",
		"127.0.0.1:70000":    "70000",
	} {
		_, err := tcp.Listen(tcp.Config{Addr: addr})
		wantError(t, err, "tcp: ", wrong)
		_, err = tcp.ListenN(tcp.Config{Addr: addr}, 2)
		if runtime.GOOS == "linux" {
			wantError(t, err, "tcp: ", wrong)
		}
		_, err = tcp.Dial(t.Context(), tcp.Config{Addr: addr})
		wantError(t, err, "tcp: ", wrong)
	}
}

func TestDialRefused(t *testing.T) {
	ln := listen(t, tcp.Config{})
	addr := ln.Addr().String()
	ln.Close()
	_, err := tcp.Dial(t.Context(), tcp.Config{Addr: addr})
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial(%s) = %v, want ECONNREFUSED", addr, err)
	}
	wantError(t, err, "tcp: ", addr)
}

func TestListenNNeedsOne(t *testing.T) {
	for _, n := range []int{0, -1} {
		_, err := tcp.ListenN(tcp.Config{}, n)
		wantError(t, err, "tcp: ", "at least 1")
	}
}

// Times that no socket option holds are refused, not shortened.
func TestTooLong(t *testing.T) {
	const century = 100 * 365 * 24 * time.Hour
	for _, c := range []tcp.Config{{KeepAliveIdle: century}, {KeepAliveInterval: century}, {UserTimeout: century}} {
		_, err := tcp.Listen(c)
		wantError(t, err, "tcp: ", "")
		c.Addr = "127.0.0.1:1"
		_, err = tcp.Dial(t.Context(), c)
		wantError(t, err, "tcp: ", "")
		if errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%+v: dialled, want the option refused", c)
		}
	}
}

// wantError wants an error that begins with prefix and contains part.
func wantError(t testing.TB, err error, prefix, part string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), prefix) || !strings.Contains(err.Error(), part) {
		t.Errorf("error is %v, want one that begins with %q and has %q in it", err, prefix, part)
	}
}
