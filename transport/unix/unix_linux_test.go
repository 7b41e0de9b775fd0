package unix_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"postern/transport/memory"
	"postern/transport/transporttest"
	"postern/transport/unix"
)

// abstractName returns a name that no other process takes.
func abstractName(t testing.TB) string {
	return fmt.Sprintf("@postern/%d/%s", os.Getpid(), t.Name())
}

func TestAbstractConformance(t *testing.T) {
	transporttest.Run(t, func(t testing.TB) (net.Listener, transporttest.Dial) {
		name := abstractName(t)
		ln, err := unix.Listen(unix.Config{Path: name})
		if err != nil {
			t.Fatal(err)
		}
		return ln, func(ctx context.Context) (net.Conn, error) { return unix.Dial(ctx, name) }
	})
}

func TestAbstractName(t *testing.T) {
	name := abstractName(t)
	name += strings.Repeat("x", 1+107-len(name)) // the longest there is
	ln := listen(t, unix.Config{Path: name})
	answers(t, ln, name)
	if got := ln.Addr().String(); got != name {
		t.Errorf("Addr() = %q, want %q", got, name)
	}
	if exists(name) {
		t.Error("an abstract name made a file")
	}
	if _, err := unix.Listen(unix.Config{Path: name}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second Listen: %v, want EADDRINUSE", err)
	}
	if err := ln.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	listen(t, unix.Config{Path: name})

	_, err := unix.Listen(unix.Config{Path: name + "x"})
	wantError(t, err, "108 bytes are too long")
	_, err = unix.Listen(unix.Config{Path: "@"})
	wantError(t, err, "nothing after the @")
}

// The kernel lets one connection more wait than it was told.
func TestBacklog(t *testing.T) {
	for _, backlog := range []int{1, 5, 20} {
		path := newPath(t)
		listen(t, unix.Config{Path: path, Backlog: backlog})
		if got := full(t, path); got != backlog+1 {
			t.Errorf("Backlog %d: %d connections wait, want %d", backlog, got, backlog+1)
		}
		name := fmt.Sprint(abstractName(t), backlog)
		listen(t, unix.Config{Path: name, Backlog: backlog})
		if got := full(t, name); got != backlog+1 {
			t.Errorf("Backlog %d, abstract: %d connections wait, want %d", backlog, got, backlog+1)
		}
	}
}

// By default the system's limit holds, and not a smaller one of ours.
func TestDefaultBacklog(t *testing.T) {
	b, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		t.Skip(err)
	}
	var somaxconn int
	fmt.Sscan(string(b), &somaxconn)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) < uint64(somaxconn)+100 {
		t.Skipf("%d descriptors are too few to fill a backlog of %d", limit.Cur, somaxconn)
	}
	path := newPath(t)
	listen(t, unix.Config{Path: path})
	if got := full(t, path); got != somaxconn+1 {
		t.Errorf("%d connections wait, want %d", got, somaxconn+1)
	}
}

// A server whose backlog is full is a live one.
func TestListenLeavesABusySocket(t *testing.T) {
	path := newPath(t)
	listen(t, unix.Config{Path: path, Backlog: 1})
	full(t, path)
	_, err := unix.Listen(unix.Config{Path: path})
	if !errors.Is(err, syscall.EADDRINUSE) || !exists(path) {
		t.Errorf("Listen: %v, file there: %v; want EADDRINUSE and the file", err, exists(path))
	}
}

func TestPeerCred(t *testing.T) {
	path := newPath(t)
	ln := listen(t, unix.Config{Path: path})
	client, err := unix.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	want := unix.Cred{PID: os.Getpid(), UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	for name, conn := range map[string]net.Conn{"accepted": server, "dialled": client} {
		if got, err := unix.PeerCred(conn); err != nil || got != want {
			t.Errorf("PeerCred of the %s end = %+v, %v, want %+v", name, got, err, want)
		}
	}
	server.Close()
	if _, err := unix.PeerCred(server); !errors.Is(err, net.ErrClosed) {
		t.Errorf("PeerCred after Close: %v, want net.ErrClosed", err)
	}
}

// A connection of another kind has no credentials that mean anything: for TCP
// the kernel would say process 0.
func TestPeerCredOfOthers(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = unix.PeerCred(conn)
	wantError(t, err, "no Unix socket")
	client, _ := memory.Pipe()
	_, err = unix.PeerCred(client)
	wantError(t, err, "no Unix socket")
}
