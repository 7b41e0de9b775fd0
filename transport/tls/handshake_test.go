package tls_test

import (
	"context"
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/transport/memory"
	"postern/transport/tls"
)

// A client that says nothing, or too little, is cut when its time is over.
func TestHandshakeTimeout(t *testing.T) {
	for _, c := range []struct {
		config, want time.Duration
	}{{0, 5 * time.Second}, {time.Second, time.Second}, {-1, time.Hour}} {
		synctest.Test(t, func(t *testing.T) {
			l := listen(t, tls.Config{Certificates: certificates(t, selfSigned(t)), HandshakeTimeout: c.config})
			for _, said := range []string{"", "\x16\x03\x01\x02\x00\x01\x00"} {
				client, server := l.raw(t)
				io.WriteString(client, said)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				began := time.Now()
				err := server.HandshakeContext(ctx)
				cancel()
				if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != c.want {
					t.Errorf("HandshakeTimeout %v: %v after %v, want the deadline after %v", c.config, err, took, c.want)
				}
				if !strings.HasPrefix(fmt.Sprint(err), "tls: handshake with memory:") {
					t.Errorf("%v does not say where", err)
				}
				if n, err := client.Read(make([]byte, 1)); n > 0 || err == nil {
					t.Errorf("the connection goes on: %d, %v", n, err)
				}
			}
		})
	}
}

// Read does the handshake too, under the same limit, and a deadline of the caller
// ends it as well.
func TestReadDoesTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t, tls.Config{Certificates: certificates(t, selfSigned(t))})
		for _, deadline := range []time.Duration{0, time.Second} {
			_, server := l.raw(t)
			want := 5 * time.Second
			if deadline > 0 {
				want = deadline
				server.SetReadDeadline(time.Now().Add(deadline))
			}
			began := time.Now()
			_, err := server.Read(make([]byte, 1))
			var timeout net.Error
			if took := time.Since(began); took != want || !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("Read: %v after %v, want a timeout after %v", err, took, want)
			}
			server.SetReadDeadline(time.Time{})
			if _, err := server.Write([]byte("x")); err == nil {
				t.Error("a connection without a handshake writes")
			}
		}
	})
}

// While clients hold their handshakes up, others connect.
func TestSlowHandshakeBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cert := selfSigned(t)
		below := memory.Listen(memory.Config{})
		ln, err := tls.NewListener(below, tls.Config{Certificates: certificates(t, cert)})
		if err != nil {
			t.Fatal(err)
		}
		s := newShaking(ln)
		defer s.Close()
		for range 10 {
			slow, err := below.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer slow.Close()
		}
		began := time.Now()
		raw, err := below.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		client, err := tls.Client(t.Context(), raw, trusting("localhost", cert))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		conn, err := s.Accept()
		if err != nil || time.Since(began) > 0 {
			t.Errorf("accepted after %v: %v, want at once", time.Since(began), err)
		}
		conn.Close()
	})
}

func TestVersions(t *testing.T) {
	cert := selfSigned(t)
	l := listen(t, tls.Config{Certificates: certificates(t, cert)})
	for version, want := range map[uint16]bool{
		stdtls.VersionTLS10: false, stdtls.VersionTLS11: false, stdtls.VersionTLS12: true, stdtls.VersionTLS13: true,
	} {
		raw, server := l.raw(t)
		done := make(chan error)
		go func() { done <- server.HandshakeContext(t.Context()) }()
		config := trusting("localhost", cert)
		config.MinVersion, config.MaxVersion = version, version
		client := stdtls.Client(raw, config)
		clientErr, serverErr := client.Handshake(), <-done
		if got := clientErr == nil && serverErr == nil; got != want {
			t.Errorf("%s: client %v, server %v, want success: %v", stdtls.VersionName(version), clientErr, serverErr, want)
		}
		if state := server.ConnectionState(); want && (state.Version != version || !state.HandshakeComplete) {
			t.Errorf("%s: server's state has %s", stdtls.VersionName(version), stdtls.VersionName(state.Version))
		}
	}
	raw, _ := l.raw(t)
	old := trusting("localhost", cert)
	old.MinVersion, old.MaxVersion = stdtls.VersionTLS10, stdtls.VersionTLS11
	if _, err := tls.Client(t.Context(), raw, old); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("our client speaks TLS 1.1: %v", err)
	}
}

func TestProtocols(t *testing.T) {
	cert := selfSigned(t)
	certs := certificates(t, cert)
	for _, c := range []struct {
		server, client []string
		want           string // "-": refused
	}{
		{nil, []string{"h2", "http/1.1"}, "http/1.1"},
		{nil, nil, ""},
		{nil, []string{"h2"}, "-"},
		{[]string{"h2", "http/1.1"}, []string{"http/1.1", "h2"}, "h2"},
		{[]string{"h2", "http/1.1"}, []string{"http/1.1"}, "http/1.1"},
		{[]string{}, []string{"anything"}, ""},
	} {
		l := listen(t, tls.Config{Certificates: certs, NextProtos: c.server})
		config := trusting("localhost", cert)
		config.NextProtos = c.client
		_, server, clientErr, serverErr := l.connect(t, config)
		got := server.ConnectionState().NegotiatedProtocol
		if clientErr != nil || serverErr != nil {
			got = "-"
		}
		if got != c.want {
			t.Errorf("server %q, client %q: %q, want %q (%v, %v)", c.server, c.client, got, c.want, clientErr, serverErr)
		}
	}
}

// What is not TLS fails the handshake. The error has the connection below, on which
// nothing was written, so that it can be answered there.
func TestPlainClient(t *testing.T) {
	l := listen(t, tls.Config{Certificates: certificates(t, selfSigned(t))})
	client, server := l.raw(t)
	io.WriteString(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	err := server.HandshakeContext(t.Context())
	plain, ok := errors.AsType[stdtls.RecordHeaderError](err)
	if !ok || string(plain.RecordHeader[:]) != "GET /" || plain.Conn != server.NetConn() {
		t.Fatalf("error is %#v, want one with the first bytes and the connection below", err)
	}
	io.WriteString(plain.Conn, "speak TLS")
	server.Close()
	if got, err := io.ReadAll(client); string(got) != "speak TLS" || err != nil {
		t.Errorf("the client reads %q, %v", got, err)
	}
}

// Garbage at any point is an error at both ends, never a hang.
func TestGarbage(t *testing.T) {
	cert := selfSigned(t)
	l := listen(t, tls.Config{Certificates: certificates(t, cert)})
	for _, garbage := range []string{
		"\x80\x2e\x01\x00\x02\x00\x15", // an SSL 2 hello
		"\x16\x03\x01\x00\x05\x00\x00\x00\x01\x00",
		"\x16\x03\x01\xff\xff",
		"\x15\x03\x01\x00\x02\x02\x00",
		strings.Repeat("\x00", 100),
		strings.Repeat("\x16\x03\x01\x00\x00", 100),
	} {
		client, server := l.raw(t)
		io.WriteString(client, garbage)
		client.(*memory.Conn).CloseWrite()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := server.HandshakeContext(ctx); err == nil || ctx.Err() != nil {
			t.Errorf("%q: %v", garbage, err)
		}
		cancel()
		if _, err := server.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("%q: Read: %v", garbage, err)
		}
		if err := server.CloseWrite(); err == nil {
			t.Errorf("%q: CloseWrite succeeds", garbage)
		}
	}
	client, server := l.pair(t, trusting("localhost", cert))
	io.WriteString(client.NetConn(), "\x17\x03\x03\x00\x20"+strings.Repeat("x", 32))
	server.SetDeadline(time.Now().Add(patience))
	if _, err := server.Read(make([]byte, 1)); err == nil || err == io.EOF || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read of a forged record: %v", err)
	} else if !strings.Contains(err.Error(), "read tls memory:0->memory:") {
		t.Errorf("%v does not say where", err)
	}
}

// A listener that is none of ours gets their patience.
func TestAcceptErrorsPass(t *testing.T) {
	flaky := &flakyListener{Listener: memory.Listen(memory.Config{}), failures: 2}
	ln, err := tls.NewListener(flaky, tls.Config{Certificates: certificates(t, selfSigned(t))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := flaky.Listener.(*memory.Listener).Dial(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := ln.Accept(); err != nil || ln.AcceptErrors() != 2 {
		t.Errorf("Accept: %v after %d errors", err, ln.AcceptErrors())
	}
	if err := ln.SetDeadline(time.Now()); !errors.Is(err, os.ErrNoDeadline) {
		t.Errorf("SetDeadline: %v", err)
	}
	ln.Close()
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
}

type flakyListener struct {
	net.Listener
	failures int
}

func (l *flakyListener) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, syscall.EMFILE
	}
	return l.Listener.Accept()
}
