package tls_test

import (
	"bytes"
	stdtls "crypto/tls"
	"io"
	"time"

	"context"
	"net"
	"path/filepath"
	"postern/transport"
	"postern/transport/tls"
	"testing"

	"postern/transport/tcp"
	"postern/transport/transporttest"
	"postern/transport/unix"
)

// TLS drives where the transport below does.
func TestPump(t *testing.T) {
	cert := selfSigned(t)
	certs, config := certificates(t, cert), trusting("localhost", cert)
	t.Run("tcp", func(t *testing.T) {
		transporttest.RunPump(t, wrap(func(t testing.TB) (net.Listener, transporttest.Dial) {
			ln, err := tcp.Listen(tcp.Config{})
			if err != nil {
				t.Fatal(err)
			}
			return ln, func(ctx context.Context) (net.Conn, error) {
				return tcp.Dial(ctx, tcp.Config{Addr: ln.Addr().String()})
			}
		}, certs, config))
	})
	t.Run("unix", func(t *testing.T) {
		transporttest.RunPump(t, wrap(func(t testing.TB) (net.Listener, transporttest.Dial) {
			path := filepath.Join(t.TempDir(), "s")
			ln, err := unix.Listen(unix.Config{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			return ln, func(ctx context.Context) (net.Conn, error) { return unix.Dial(ctx, path) }
		}, certs, config))
	})
}

// inPieces cuts what is written into pieces of 7 bytes.
type inPieces struct{ net.Conn }

func (c inPieces) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = c.Conn.Write(p[n:min(len(p), n+7)])
		n += k
	}
	return n, err
}

// echo is a Pump that sends back what it gets.
type echo struct{ in [512]byte }

func (e *echo) Buffer() []byte { return e.in[:] }

func (e *echo) Step(n int) ([]byte, transport.Next) {
	if n < 0 {
		return nil, transport.Close
	}
	return e.in[:n], transport.Park
}

// A record may come in any number of pieces: what is not whole yet is kept until it
// is.
func TestPumpedRecordsInPieces(t *testing.T) {
	cert := selfSigned(t)
	inner, err := tcp.Listen(tcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.NewListener(inner, tls.Config{Certificates: certificates(t, cert)})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ended := make(chan transport.Next, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		ended <- transport.PumperOf(conn).Pump(new(echo), func(rest []byte) error {
			_, err := conn.Write(rest)
			return err
		})
	}()
	below, err := tcp.Dial(t.Context(), tcp.Config{Addr: inner.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	client := stdtls.Client(inPieces{below}, trusting("localhost", cert))
	client.SetDeadline(time.Now().Add(patience))
	for _, size := range []int{1, 13, 511, 512, 513, 5000, 40_000} {
		sent := bytes.Repeat([]byte{byte(size)}, size)
		if _, err := client.Write(sent); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, size)
		if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes came back otherwise: %v", size, err)
		}
	}
	client.CloseWrite()
	if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read %d, %v at the end", n, err)
	}
	if next := <-ended; next != transport.Close {
		t.Errorf("Pump ended with %v", next)
	}
}
