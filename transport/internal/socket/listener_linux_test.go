package socket_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/transport"
	"postern/transport/internal/socket"
	"postern/transport/tcp"
)

// sending is a Pump that does f when something comes, and then says so.
func sending(f func()) *steps {
	return &steps{f: func(in []byte, end bool) ([]byte, transport.Next) {
		if len(in) == 0 {
			return nil, transport.Park
		}
		f()
		return []byte("."), transport.Park
	}}
}

// Accepts end when their deadline comes, all of them, and go on without it.
func TestAcceptDeadline(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		errs := make(chan error, 3)
		for range cap(errs) {
			go func() {
				_, err := ln.Accept()
				errs <- err
			}()
		}
		time.Sleep(time.Millisecond)
		ln.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now())
		for range cap(errs) {
			within(t, "Accept", func() {
				if err := <-errs; !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
					t.Errorf("Accept: %v, want a timeout", err)
				}
			})
		}
		ln.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Time{})
		connect(t, ln)
	})
}

// A client that has gone before it was accepted is a connection like others, that
// ends at once.
func TestAcceptOfTheGone(t *testing.T) {
	ln := listeners["tcp"](t)
	defer ln.Close()
	for i := range 20 {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			send(t, c, "never read")
		}
		c.(*net.TCPConn).SetLinger(0)
		local := c.LocalAddr().String()
		c.Close()
		server, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		wantNext(t, pump(server.(*socket.Conn), echo()), transport.Close)
		if got := server.RemoteAddr().String(); got != local {
			t.Errorf("it came from %s, want %s", got, local)
		}
		server.Close()
	}
}

// Addresses are as package net has them.
func TestAddresses(t *testing.T) {
	hosts := []string{"127.0.0.1", "[::1]", ""}
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() == nil && ip.IP.IsLinkLocalUnicast() {
				hosts = append(hosts, "["+ip.IP.String()+"%"+i.Name+"]")
			}
		}
	}
	for _, host := range hosts {
		ln, err := tcp.Listen(tcp.Config{Addr: host + ":0"})
		if err != nil {
			t.Logf("%s: %v", host, err) // no IPv6
			continue
		}
		at := ln.Addr().String()
		if host == "" {
			_, port, _ := net.SplitHostPort(at)
			at = "127.0.0.1:" + port // which a socket for both families sees mapped
		}
		client, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		server, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range [][2]net.Addr{{server.RemoteAddr(), client.LocalAddr()}, {server.LocalAddr(), client.RemoteAddr()}} {
			if got[0].String() != got[1].String() || got[0].Network() != "tcp" {
				t.Errorf("%s: %s %s, want %s", host, got[0].Network(), got[0], got[1])
			}
			if _, ok := got[0].(*net.TCPAddr); !ok {
				t.Errorf("%s: %T", host, got[0])
			}
		}
		local, remote := server.LocalAddr().String(), server.RemoteAddr().String()
		client.Close()
		server.Close()
		if server.LocalAddr().String() != local || server.RemoteAddr().String() != remote {
			t.Errorf("%s: addresses change with Close", host)
		}
		ln.Close()
	}
}

// A Unix peer has a name if it was bound to one, of 107 bytes at most; package net
// calls the others "@".
func TestUnixPeers(t *testing.T) {
	ln := listeners["unix"](t)
	defer ln.Close()
	dir, err := os.MkdirTemp("", "p")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	long := filepath.Join(dir, "c")
	long += strings.Repeat("x", 107-len(long))
	abstract := fmt.Sprintf("@socket/%d", os.Getpid())
	for _, name := range []string{"@", filepath.Join(dir, "client"), long, abstract} {
		var from *net.UnixAddr
		if name != "@" {
			from = &net.UnixAddr{Name: name, Net: "unix"}
		}
		client, err := net.DialUnix("unix", from, ln.Addr().(*net.UnixAddr))
		if err != nil {
			t.Fatal(err)
		}
		server, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if a, ok := server.RemoteAddr().(*net.UnixAddr); !ok || a.Name != name || a.Net != "unix" {
			t.Errorf("peer %q is %#v", name, server.RemoteAddr())
		}
		if got := server.LocalAddr().String(); got != ln.Addr().String() {
			t.Errorf("local address %q", got)
		}
		client.Close()
		server.Close()
	}
}

// A process that has run out of descriptors waits, loses no connection and goes on.
// It is a process of its own: the limit would hit other tests.
func TestAcceptWithoutDescriptors(t *testing.T) {
	const inChild = "POSTERN_TEST_EMFILE"
	if os.Getenv(inChild) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), inChild+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "accepted all") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	ln, err := tcp.Listen(tcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var clients []net.Conn
	for range 4 {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	var was, none syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	none = was
	none.Cur = 3 // all that are open stay so
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, len(clients))
	go func() {
		for range clients {
			c, err := ln.Accept()
			if err != nil {
				t.Error(err)
				break
			}
			accepted <- c
		}
		close(accepted)
	}()
	eventually(t, "failed accepts", func() bool { return ln.AcceptErrors() >= 2 })
	if len(accepted) != 0 {
		t.Errorf("%d connections without a descriptor", len(accepted))
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	for c := range accepted {
		pump(c.(*socket.Conn), echo())
	}
	for _, c := range clients {
		c.SetDeadline(time.Now().Add(patience))
		send(t, c, "x")
		receive(t, c, "x")
	}
	t.Log("accepted all")
	ln.Close()
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if _, err := io.WriteString(clients[0], "y"); err != nil {
		t.Error(err)
	}
}
