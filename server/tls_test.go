package server_test

import (
	"bufio"
	"context"
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
	"postern/transport/memory"
	"postern/transport/tls"
)

// A secure bench serves over TLS; its dial is that of the connection below.
type secure struct {
	*bench
	roots *stdtls.Config
}

// startTLS serves h over TLS. With std it is crypto/tls's own listener that is served.
func startTLS(t testing.TB, h server.Handler, cfg server.Config, std bool, c tls.Config) secure {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = quiet()
	}
	cert, err := tls.SelfSigned("a.example")
	if err != nil {
		t.Fatal(err)
	}
	s := secure{&bench{server.New(h, cfg), memory.Listen(memory.Config{})}, &stdtls.Config{ServerName: "a.example", InsecureSkipVerify: true}}
	ln := stdtls.NewListener(s.ln, &stdtls.Config{Certificates: []stdtls.Certificate{cert}})
	if !std {
		if c.Certificates, err = tls.NewCertificates(tls.CertificatesConfig{Sources: []tls.Source{{Certificate: cert}}}); err != nil {
			t.Fatal(err)
		}
		if ln, err = tls.NewListener(s.ln, c); err != nil {
			t.Fatal(err)
		}
	}
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	return s
}

// connect dials and does the handshake.
func (s secure) connect(t testing.TB) *tls.Conn {
	t.Helper()
	c, err := tls.Client(t.Context(), s.dial(t), s.roots)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// encrypted tells a handler's view of its connection.
func encrypted(r *server.Request) server.Response {
	state := r.TLS()
	if state == nil {
		return server.Text("plain")
	}
	if r.Clone().TLS() != state {
		return server.Text("a clone has another state")
	}
	return server.Text(fmt.Sprintf("%s %s %v", stdtls.VersionName(state.Version), state.ServerName, state.HandshakeComplete))
}

// Handlers see what the handshake agreed on, whoever did it.
func TestRequestTLS(t *testing.T) {
	for _, std := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := startTLS(t, encrypted, server.Config{}, std, tls.Config{})
			got := talk(t, s.connect(t), request, request)
			if n := strings.Count(got, "TLS 1.3 a.example true"); n != 2 {
				t.Errorf("crypto/tls's listener: %v: got %q", std, got)
			}
			if n := s.Stats().BadHandshakes; n != 0 {
				t.Errorf("%d bad handshakes", n)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		if got := talk(t, start(t, encrypted, server.Config{}).dial(t), request); !strings.HasSuffix(got, "plain") {
			t.Errorf("got %q", got)
		}
	})
}

// A handshake has a time of its own, and the first byte's begins behind it.
func TestHandshakeTimeout(t *testing.T) {
	for _, c := range []struct {
		limits server.Limits
		std    bool
		want   time.Duration
	}{
		{server.Limits{}, false, 5 * time.Second},
		{server.Limits{}, true, 5 * time.Second},
		{server.Limits{HandshakeTimeout: time.Second}, false, time.Second},
		{server.Limits{HandshakeTimeout: time.Second}, true, time.Second},
		{server.Limits{HandshakeTimeout: time.Hour}, false, 5 * time.Second}, // the transport's
		{server.Limits{HandshakeTimeout: -1}, false, 5 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := startTLS(t, app, server.Config{Limits: c.limits}, c.std, tls.Config{})
			silent := s.dial(t)
			began := time.Now()
			if out, _ := io.ReadAll(silent); len(out) > 0 || time.Since(began) != c.want {
				t.Errorf("%+v, crypto/tls's listener: %v: %q after %v, want a close after %v", c.limits, c.std, out, time.Since(began), c.want)
			}
			synctest.Wait()
			if n := s.Stats().BadHandshakes; n != 1 {
				t.Errorf("%d bad handshakes, want 1", n)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := startTLS(t, app, server.Config{}, false, tls.Config{})
		raw := s.dial(t)
		time.Sleep(4 * time.Second)
		c, err := tls.Client(t.Context(), raw, s.roots)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Second)
		if got := talk(t, c, request); !strings.HasSuffix(got, "hello") {
			t.Errorf("9 s after its handshake a client gets %q", got)
		}
	})
}

// Whoever speaks HTTP to a TLS port reads an answer; who speaks anything else does
// not.
func TestPlainHTTPToTLS(t *testing.T) {
	for _, std := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := startTLS(t, app, server.Config{}, std, tls.Config{})
			talk(t, s.connect(t), request) // nothing of it may reach the next client
			c := s.dial(t)
			io.WriteString(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n"+strings.Repeat("x", 2000))
			answer, err := io.ReadAll(c)
			if err != nil {
				t.Errorf("crypto/tls's listener: %v: what was not read destroyed the answer: %v", std, err)
			}
			got := string(answer)
			if !strings.HasPrefix(got, "HTTP/1.1 400 Bad Request\r\n") || strings.Count(got, "HTTP/1.1 ") != 1 || !strings.HasSuffix(got, "this port speaks HTTPS, and the request was HTTP\n") {
				t.Errorf("crypto/tls's listener: %v: got %q", std, got)
			}
			for _, other := range []string{"SSH-2.0-x\r\n", "hello hello\r\n", "\x00\x00\x00\x00\x00\x00"} {
				if got := talk(t, s.dial(t), other); got != "" {
					t.Errorf("%q gets %q", other, got)
				}
			}
		})
	}
}

// A client that is refused reads why, also when it has sent a request already.
func TestRefusedClientReadsTheAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startTLS(t, app, server.Config{}, false, tls.Config{ClientAuth: stdtls.RequireAnyClientCert})
		c := s.connect(t) // of TLS 1.3: the client is done before the server looks at its certificate
		io.WriteString(c, request)
		if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "certificate required") {
			t.Errorf("Read: %v, want the alert", err)
		}
	})
}

// Past MaxConns the answer is 503, over TLS too.
func TestMaxConnsOverTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startTLS(t, app, server.Config{Limits: server.Limits{MaxConns: 1}}, false, tls.Config{})
		s.connect(t)
		if got := talk(t, s.connect(t), request); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
			t.Errorf("got %q", got)
		}
		silent := s.dial(t)
		began := time.Now()
		if io.Copy(io.Discard, silent); time.Since(began) != time.Second {
			t.Errorf("a silent one was closed after %v, want 1s", time.Since(began))
		}
	})
}

// The end of the server waits for no handshake that gets nowhere.
func TestShutdownDuringHandshake(t *testing.T) {
	for name, end := range map[string]func(*server.Server) error{
		"Shutdown": func(s *server.Server) error { return s.Shutdown(context.Background()) },
		"Close":    (*server.Server).Close,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := startTLS(t, app, server.Config{}, false, tls.Config{})
			s.dial(t)
			synctest.Wait()
			began := time.Now()
			if err := end(s.Server); err != nil || time.Since(began) > 250*time.Millisecond {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
		})
	}
}

// A client that takes little at a time, but goes on, is served to the last byte.
func TestSlowReaderOverTLS(t *testing.T) {
	for _, size := range []int{70_000, 100_000, 1_000_000} {
		synctest.Test(t, func(t *testing.T) {
			content := strings.Repeat("0123456789", size/10)
			s := startTLS(t, func(*server.Request) server.Response { return server.Text(content) }, server.Config{}, false, tls.Config{})
			c := s.connect(t)
			io.WriteString(c, request)
			head, answer := "", bufio.NewReaderSize(c, 4<<10)
			for !strings.HasSuffix(head, "\r\n\r\n") {
				line, err := answer.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				head += line
			}
			time.Sleep(70 * time.Second) // until the first write has timed out
			got := make([]byte, size)
			for n := 0; n < size; time.Sleep(25 * time.Second) {
				k, err := io.ReadFull(answer, got[n:min(size, n+40_000)])
				if n += k; err != nil {
					t.Fatalf("size %d: %d bytes later: %v", size, n, err)
				}
			}
			if string(got) != content {
				t.Errorf("size %d: other bytes arrived than were sent", size)
			}
		})
	}
}

// A response that ends with the connection and broke off does not look complete.
func TestBrokenResponseOverTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startTLS(t, app, server.Config{}, false, tls.Config{})
		for path, want := range map[string]error{"/stream": nil, "/broken": io.ErrUnexpectedEOF} {
			c := s.connect(t)
			io.WriteString(c, "GET "+path+" HTTP/1.0\r\n\r\n")
			got, err := io.ReadAll(c)
			if !errors.Is(err, want) || !strings.HasPrefix(string(got), "HTTP/1.1 200 OK\r\n") {
				t.Errorf("%s: %q, %v, want %v", path, got, err, want)
			}
		}
	})
}

// dripping is a connection that, once it is slow, gives few bytes at a time, and
// seldom.
type dripping struct {
	net.Conn
	slow bool
}

func (d *dripping) Read(p []byte) (int, error) {
	if !d.slow {
		return d.Conn.Read(p)
	}
	time.Sleep(time.Second)
	return d.Conn.Read(p[:min(len(p), 8)])
}

func (d *dripping) CloseWrite() error { return d.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// A client that has finished sending and reads slowly learns that the answer is
// whole: close_notify comes behind it, though there is no room for it at first.
func TestSlowReaderSeesTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cert, err := tls.SelfSigned("a.example")
		if err != nil {
			t.Fatal(err)
		}
		certs, err := tls.NewCertificates(tls.CertificatesConfig{Sources: []tls.Source{{Certificate: cert}}})
		if err != nil {
			t.Fatal(err)
		}
		mem := memory.Listen(memory.Config{Buffer: 1000})
		ln, err := tls.NewListener(mem, tls.Config{Certificates: certs})
		if err != nil {
			t.Fatal(err)
		}
		const size = 5000
		s := server.New(func(*server.Request) server.Response {
			return server.Text(strings.Repeat("x", size))
		}, server.Config{Log: quiet(), Limits: server.Limits{WriteTimeout: time.Hour}})
		go s.Serve(ln)
		defer s.Close()
		below, err := mem.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		drip := &dripping{Conn: below}
		c, err := tls.Client(t.Context(), drip, &stdtls.Config{ServerName: "a.example", InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		drip.slow = true
		io.WriteString(c, request)
		c.CloseWrite()
		out, err := io.ReadAll(c)
		if _, body, _ := strings.Cut(string(out), "\r\n\r\n"); len(body) != size || err != nil {
			t.Errorf("%d bytes of content, %v", len(body), err)
		}
	})
}
