package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/server"
	"postern/transport/tcp"
)

// A client that does not read is reset after WriteTimeout, and the kernel keeps
// nothing of what it has not taken.
func TestUnreadIsReset(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 16<<20)
	name := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(name, big, 0o600); err != nil {
		t.Fatal(err)
	}
	s := server.New(func(r *server.Request) server.Response {
		switch r.Path() {
		case "/file":
			f, err := os.Open(name)
			if err != nil {
				return server.Err(err)
			}
			return server.Reader("text/plain", f, int64(len(big)))
		case "/drive":
			return server.Drive(func(x *server.Exchange) error {
				if err := x.Head(200, nil); err != nil {
					return err
				}
				_, err := x.Write(big)
				return err
			})
		case "/some":
			return server.Bytes("text/plain", big[:12<<10])
		}
		return server.Bytes("text/plain", big)
	}, server.Config{Log: quiet(), Limits: server.Limits{WriteTimeout: 20 * time.Millisecond}})
	defer s.Close()
	ln, err := tcp.Listen(tcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	below, err := tcp.Listen(tcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	listen, client := secured(t)
	go s.Serve(ln)
	go s.Serve(listen(below))
	to := func(ln net.Listener) dialer {
		return func() (net.Conn, func() bool, error) {
			c, err := tcp.Dial(t.Context(), tcp.Config{Addr: ln.Addr().String()})
			return c, nil, err
		}
	}
	for _, tc := range []struct {
		name, in string
		dial     dialer
	}{
		{"bytes", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", to(ln)},
		{"file", "GET /file HTTP/1.1\r\nHost: a\r\n\r\n", to(ln)},
		{"drive", "GET /drive HTTP/1.1\r\nHost: a\r\n\r\n", to(ln)},
		{"pipeline", strings.Repeat("GET /some HTTP/1.1\r\nHost: a\r\n\r\n", 1000), to(ln)},
		{"tls", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", client(to(below))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _, err := tc.dial()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			before := s.Stats().Requests
			if _, err := io.WriteString(c, tc.in); err != nil {
				t.Fatal(err)
			}
			for s.Stats().Requests == before || s.Stats().Conns > 0 {
				time.Sleep(time.Millisecond)
			}
			if line := inKernel(t, c.RemoteAddr(), c.LocalAddr()); line != "" {
				t.Errorf("the kernel still has it: %s", line)
			}
			if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("ended with %v, want a reset", err)
			}
		})
	}
}

// inKernel returns what the kernel says of the socket with these IPv4 addresses, or
// "" if it has none.
func inKernel(t *testing.T, local, remote net.Addr) string {
	t.Helper()
	b, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Skip(err)
	}
	port := func(a net.Addr) string { return fmt.Sprintf(":%04X", a.(*net.TCPAddr).Port) }
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 4 && strings.HasSuffix(f[1], port(local)) && strings.HasSuffix(f[2], port(remote)) {
			return strings.Join(f[1:5], " ")
		}
	}
	return ""
}
