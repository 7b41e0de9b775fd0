package server_test

import (
	"bufio"
	"bytes"
	"context"
	stdtls "crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"postern/server"
	"postern/transport/memory"
	"postern/transport/proxyproto"
	"postern/transport/tcp"
	"postern/transport/tls"
)

const fromClient = "PROXY TCP4 192.0.2.1 198.51.100.2 1111 80\r\n"

// whoAsks answers with the client's address.
func whoAsks(r *server.Request) server.Response {
	return server.Text(r.RemoteAddr().String() + " at " + r.LocalAddr().String())
}

func underProxy(t *testing.T, inner net.Listener) net.Listener {
	t.Helper()
	ln, err := proxyproto.NewListener(inner, proxyproto.Config{Trusted: proxyproto.TrustAll})
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// Requests behind a header are the client's, on every transport, one after the other;
// and so say the access records.
func TestBehindProxy(t *testing.T) {
	overMemory := memory.Listen(memory.Config{})
	overTCP, err := tcp.Listen(tcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, inner := range map[string]struct {
		ln   net.Listener
		dial func() (net.Conn, error)
	}{
		"memory": {overMemory, func() (net.Conn, error) { return overMemory.Dial(t.Context()) }},
		"tcp":    {overTCP, func() (net.Conn, error) { return net.Dial("tcp", overTCP.Addr().String()) }},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			srv := server.New(whoAsks, server.Config{AccessLog: slog.New(slog.NewTextHandler(&log, nil))})
			served := make(chan error, 1)
			go func() { served <- srv.Serve(underProxy(t, inner.ln)) }()
			conn, err := inner.dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(conn, fromClient+"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
			answers := bufio.NewReader(conn)
			for i := range 3 {
				resp, err := http.ReadResponse(answers, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(resp.Body); string(got) != "192.0.2.1:1111 at 198.51.100.2:80" || err != nil {
					t.Errorf("answer %d is %q, %v", i, got, err)
				}
				if i < 2 {
					io.WriteString(conn, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
				}
			}
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if err := <-served; err != server.ErrServerClosed {
				t.Error(err)
			}
			if n := strings.Count(log.String(), "192.0.2.1:1111"); n != 3 {
				t.Errorf("%d access records name the client:\n%s", n, &log)
			}
		})
	}
}

// A wrong header gets no answer, one that never comes does not hold up Shutdown, and
// the server has a request from neither.
func TestWrongHeaders(t *testing.T) {
	inner, err := tcp.Listen(tcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	srv := server.New(whoAsks, server.Config{})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(underProxy(t, inner)) }()
	for _, wrong := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PROXY TCP4 1 2 3 4\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"} {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(conn, wrong)
		if got, err := io.ReadAll(conn); len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("answer to %q is %q, %v", wrong, got, err)
		}
	}
	silent, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for srv.Stats().Conns != 1 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // the header has five
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	<-served
	if n := srv.Stats().Requests; n != 0 {
		t.Errorf("%d requests were counted", n)
	}
}

// The header of a client that speaks TLS stands outside of it.
func TestTLSBehindProxy(t *testing.T) {
	cert, err := tls.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	certs, err := tls.NewCertificates(tls.CertificatesConfig{Sources: []tls.Source{{Certificate: cert}}})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := tcp.Listen(tcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.NewListener(underProxy(t, inner), tls.Config{Certificates: certs, NextProtos: bothVersions})
	if err != nil {
		t.Fatal(err)
	}
	srv := server.New(whoAsks, server.Config{})
	defer srv.Close()
	go srv.Serve(ln) // ends with Close
	below, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	below.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(below, fromClient)
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	conn := stdtls.Client(below, &stdtls.Config{ServerName: "localhost", RootCAs: roots})
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if got, err := io.ReadAll(conn); !strings.HasSuffix(string(got), "192.0.2.1:1111 at 198.51.100.2:80") || err != nil {
		t.Errorf("answer is %q, %v", got, err)
	}

	c := &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			below, err := net.Dial("tcp", ln.Addr().String())
			if err == nil {
				_, err = io.WriteString(below, fromClient)
			}
			return below, err
		},
		TLSClientConfig:   &stdtls.Config{ServerName: "localhost", RootCAs: roots},
		ForceAttemptHTTP2: true,
	}}
	if resp, got := fetch(t, c, "GET", "/", ""); got != "192.0.2.1:1111 at 198.51.100.2:80" || resp.ProtoMajor != 2 {
		t.Errorf("HTTP/%d: answer is %q", resp.ProtoMajor, got)
	}
}
