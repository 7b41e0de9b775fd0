package tcp_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/transport/tcp"
)

const (
	tcpUserTimeout  = 0x12 // TCP_USER_TIMEOUT
	tcpNotSentLowAt = 0x19 // TCP_NOTSENT_LOWAT
)

func soReusePort() int {
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		return 0x200
	}
	return 0xf
}

// connect returns both ends of a connection over ln; the client dials with c.
func connect(t testing.TB, ln *tcp.Listener, c tcp.Config) (client, server net.Conn) {
	t.Helper()
	c.Addr = ln.Addr().String()
	client, err := tcp.Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client, server
}

// onSocket calls f with the descriptor of a connection or listener.
func onSocket(t testing.TB, of any, f func(fd int) error) {
	t.Helper()
	rc, err := of.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if failed := rc.Control(func(fd uintptr) { err = f(int(fd)) }); failed != nil {
		t.Fatal(failed)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// options returns the options of a socket as the kernel has them; times in
// seconds, the user timeout in milliseconds.
func options(t testing.TB, of any) string {
	t.Helper()
	var b strings.Builder
	onSocket(t, of, func(fd int) error {
		for _, o := range []struct {
			name       string
			level, opt int
		}{
			{"nodelay", syscall.IPPROTO_TCP, syscall.TCP_NODELAY},
			{"keepalive", syscall.SOL_SOCKET, syscall.SO_KEEPALIVE},
			{"idle", syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE},
			{"interval", syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL},
			{"probes", syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT},
			{"timeout", syscall.IPPROTO_TCP, tcpUserTimeout},
			{"unsent", syscall.IPPROTO_TCP, tcpNotSentLowAt},
			{"reuseport", syscall.SOL_SOCKET, soReusePort()},
		} {
			value, err := syscall.GetsockoptInt(fd, o.level, o.opt)
			if err != nil {
				return fmt.Errorf("%s: %w", o.name, err)
			}
			fmt.Fprintf(&b, "%s=%d ", o.name, value)
		}
		return nil
	})
	return strings.TrimSpace(b.String())
}

// system returns the options of a connection as the system has them.
func system(t testing.TB) (idle, interval, probes string) {
	t.Helper()
	values := make([]string, 3)
	for i, name := range []string{"time", "intvl", "probes"} {
		b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_keepalive_" + name)
		if err != nil {
			t.Skip(err)
		}
		values[i] = strings.TrimSpace(string(b))
	}
	return values[0], values[1], values[2]
}

// Both ends of a connection carry the options of their Config, whether it was
// accepted or dialled.
func TestOptions(t *testing.T) {
	idle, interval, probes := system(t)
	for _, c := range []struct {
		name   string
		config tcp.Config
		want   string
	}{
		{"defaults", tcp.Config{},
			"nodelay=1 keepalive=1 idle=60 interval=10 probes=3 timeout=90000"},
		{"all set", tcp.Config{Nagle: true, KeepAliveIdle: 20 * time.Second, KeepAliveInterval: 5 * time.Second, KeepAliveProbes: 7, UserTimeout: 30 * time.Second},
			"nodelay=0 keepalive=1 idle=20 interval=5 probes=7 timeout=30000"},
		{"rounded up", tcp.Config{KeepAliveIdle: 1500 * time.Millisecond, KeepAliveInterval: time.Nanosecond, UserTimeout: 1001 * time.Microsecond},
			"nodelay=1 keepalive=1 idle=2 interval=1 probes=3 timeout=2"},
		{"none", tcp.Config{KeepAliveIdle: -1, UserTimeout: -1},
			"nodelay=1 keepalive=0 idle=" + idle + " interval=" + interval + " probes=" + probes + " timeout=0"},
		{"as the system has it", tcp.Config{KeepAliveInterval: -1, KeepAliveProbes: -1},
			"nodelay=1 keepalive=1 idle=60 interval=" + interval + " probes=" + probes + " timeout=90000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := connect(t, listen(t, c.config), c.config)
			want := c.want + " unsent=262144 reuseport=0"
			if got := options(t, client); got != want {
				t.Errorf("dialled:\n got %s\nwant %s", got, want)
			}
			if got := options(t, server); got != want {
				t.Errorf("accepted:\n got %s\nwant %s", got, want)
			}
		})
	}
}

// Package net would listen with Multipath TCP where the kernel has it and
// refuses none of the options; it refuses UserTimeout.
// A listener from elsewhere gives its connections these options too.
func TestOptionsFromFile(t *testing.T) {
	for _, c := range []tcp.Config{{}, {Nagle: true, KeepAliveIdle: 7 * time.Second, UserTimeout: 8 * time.Second}} {
		var plain net.ListenConfig
		plain.SetMultipathTCP(false)
		made, err := plain.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		onSocket(t, made, func(fd int) error {
			return syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		})
		ln, err := tcp.FromFile(file(t, made.(*net.TCPListener)), c)
		if err != nil {
			t.Fatal(err)
		}
		made.Close()
		client, server := connect(t, ln, tcp.Config{})
		_, like := connect(t, listen(t, c), tcp.Config{})
		if got, want := options(t, server), options(t, like); got != want {
			t.Errorf("%+v: options are %s, want %s", c, got, want)
		}
		client.Close()
		ln.Close()
	}
}

func TestNoMultipathTCP(t *testing.T) {
	if b, err := os.ReadFile("/proc/sys/net/mptcp/enabled"); err != nil || strings.TrimSpace(string(b)) != "1" {
		t.Skip("this kernel has no Multipath TCP")
	}
	onSocket(t, listen(t, tcp.Config{UserTimeout: -1}), func(fd int) error {
		protocol, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_PROTOCOL)
		if err == nil && protocol != syscall.IPPROTO_TCP {
			t.Errorf("the listener's protocol is %d, want TCP", protocol)
		}
		return err
	})
}

// What the kernel refuses, Listen and Dial report.
func TestRefusedOptions(t *testing.T) {
	for part, c := range map[string]tcp.Config{
		"TCP_KEEPIDLE":  {KeepAliveIdle: 40_000 * time.Second},
		"TCP_KEEPINTVL": {KeepAliveInterval: 40_000 * time.Second},
		"TCP_KEEPCNT":   {KeepAliveProbes: 1000},
	} {
		_, err := tcp.Listen(c)
		if !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Listen with a bad %s: %v, want EINVAL", part, err)
		}
		wantError(t, err, "tcp: ", part)
		c.Addr = "127.0.0.1:1"
		_, err = tcp.Dial(t.Context(), c)
		if !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Dial with a bad %s: %v, want EINVAL", part, err)
		}
	}
}

// backlog returns how many connections may wait for Accept, which TCP_INFO has
// in tcpi_sacked for a listening socket. That is the field 28 bytes in, where
// another struct that package syscall can fetch has a number of the same width.
func backlog(t testing.TB, ln *tcp.Listener) int {
	t.Helper()
	var n int
	onSocket(t, ln, func(fd int) error {
		info, err := syscall.GetsockoptIPv6MTUInfo(fd, syscall.IPPROTO_TCP, syscall.TCP_INFO)
		n = int(info.Mtu)
		return err
	})
	return n
}

func TestBacklog(t *testing.T) {
	b, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		t.Skip(err)
	}
	var somaxconn int
	fmt.Sscan(string(b), &somaxconn)
	for asked, want := range map[int]int{
		0: somaxconn, -1: somaxconn, 1: 1, 17: 17, somaxconn: somaxconn, somaxconn + 1: somaxconn,
	} {
		if got := backlog(t, listen(t, tcp.Config{Backlog: asked})); got != want {
			t.Errorf("Backlog %d: the kernel has %d, want %d", asked, got, want)
		}
	}
}

func TestReusePort(t *testing.T) {
	first := listen(t, tcp.Config{ReusePort: true})
	addr := first.Addr().String()
	listen(t, tcp.Config{Addr: addr, ReusePort: true})
	if got := options(t, first); !strings.Contains(got, "reuseport=1") {
		t.Errorf("listener's options are %s, want reuseport=1", got)
	}
	if _, err := tcp.Listen(tcp.Config{Addr: addr}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen without ReusePort beside listeners with it: %v, want EADDRINUSE", err)
	}
}

// All listeners of a group get connections: the kernel spreads them.
func TestListenN(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", ":0"} {
		listeners, err := tcp.ListenN(tcp.Config{Addr: addr, Backlog: 100}, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(listeners) != 3 {
			t.Fatalf("%d listeners, want 3", len(listeners))
		}
		accepted := make(chan int)
		for i, ln := range listeners {
			defer ln.Close()
			if got, want := ln.Addr().String(), listeners[0].Addr().String(); got != want {
				t.Errorf("listener %d is at %s, want %s as the first", i, got, want)
			}
			if got := backlog(t, ln); got != 100 {
				t.Errorf("listener %d has backlog %d, want 100", i, got)
			}
			go func() {
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					conn.Close()
					accepted <- i
				}
			}()
		}
		port := listeners[0].Addr().(*net.TCPAddr).Port
		counts := make([]int, 3)
		const dials = 300
		for range dials {
			conn, err := tcp.Dial(t.Context(), tcp.Config{Addr: fmt.Sprintf("127.0.0.1:%d", port)})
			if err != nil {
				t.Fatal(err)
			}
			counts[<-accepted]++
			conn.Close()
		}
		for i, n := range counts {
			if n == 0 {
				t.Errorf("%s: listener %d got none of %d connections: %v", addr, i, dials, counts)
			}
		}
	}
}

// A port that somebody else has, without sharing it, is an error and not fewer
// listeners.
func TestListenNFailsLoudly(t *testing.T) {
	taken := listen(t, tcp.Config{})
	addr := taken.Addr().String()
	if _, err := tcp.ListenN(tcp.Config{Addr: addr}, 2); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("ListenN(%s): %v, want EADDRINUSE", addr, err)
	}
}

// TestOutOfDescriptors runs itself in a process of its own, whose limit of
// descriptors it may lower: there Accept finds none free, waits and counts, and
// returns the connection once there is one again.
func TestOutOfDescriptors(t *testing.T) {
	const env = "POSTERN_TEST_OUT_OF_DESCRIPTORS"
	if os.Getenv(env) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestOutOfDescriptors$", "-test.v")
		cmd.Env = append(os.Environ(), env+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "accepted after errors") {
			t.Errorf("child: %v\n%s", err, out)
		}
		return
	}

	ln := listen(t, tcp.Config{})
	client, err := tcp.Dial(t.Context(), tcp.Config{Addr: ln.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = 64
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var spare []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, syscall.EMFILE) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		spare = append(spare, f)
	}
	accepted := make(chan error)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			conn.Close()
		}
		accepted <- err
	}()
	for ln.AcceptErrors() < 3 {
		select {
		case err := <-accepted:
			t.Fatalf("Accept returned without a descriptor: %v", err)
		default:
			runtime.Gosched()
		}
	}
	for _, f := range spare {
		f.Close()
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	t.Logf("accepted after errors")
}
