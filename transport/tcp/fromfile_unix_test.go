//go:build unix

package tcp_test

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"postern/transport/tcp"
	"postern/transport/transporttest"
)

// file returns the descriptor of a socket of package net.
func file(t testing.TB, of interface{ File() (*os.File, error) }) *os.File {
	t.Helper()
	f, err := of.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestFromFileConformance(t *testing.T) {
	transporttest.Run(t, func(t testing.TB) (net.Listener, transporttest.Dial) {
		made, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f := file(t, made.(*net.TCPListener))
		made.Close()
		ln, err := tcp.FromFile(f, tcp.Config{})
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		return ln, func(ctx context.Context) (net.Conn, error) {
			return tcp.Dial(ctx, tcp.Config{Addr: ln.Addr().String()})
		}
	})
}

func TestFromFileRefuses(t *testing.T) {
	made, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	conn, err := net.Dial("tcp", made.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	local, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	plain, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, tt := range []struct {
		f    *os.File
		part string
	}{
		{file(t, conn.(*net.TCPConn)), "does not listen"},
		{file(t, packets.(*net.UDPConn)), "is no stream socket"},
		{file(t, local.(*net.UnixListener)), "is no TCP socket"},
		{plain, "socket operation on non-socket"},
		{closed, "use of closed file"},
	} {
		_, err := tcp.FromFile(tt.f, tcp.Config{})
		if err == nil || !strings.HasPrefix(err.Error(), "tcp: "+tt.f.Name()+": ") || !strings.Contains(err.Error(), tt.part) {
			t.Errorf("%v, want an error with %q", err, tt.part)
		}
	}
}

// Two listeners on one socket, in one process here: one that closes leaves the queue
// to the other.
func TestFromFileShares(t *testing.T) {
	first := listen(t, tcp.Config{})
	rc, err := first.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var second *tcp.Listener
	rc.Control(func(fd uintptr) {
		// FromFile looks at the file and makes a descriptor of its own.
		second, err = tcp.FromFile(os.NewFile(dup(t, fd), "listener"), tcp.Config{})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	client, err := tcp.Dial(t.Context(), tcp.Config{Addr: first.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	first.Close()
	server, err := second.Accept()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(server, "hello")
	server.Close()
	if got, err := io.ReadAll(client); string(got) != "hello" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

func dup(t testing.TB, fd uintptr) uintptr {
	t.Helper()
	n, err := syscall.Dup(int(fd))
	if err != nil {
		t.Fatal(err)
	}
	return uintptr(n)
}
