// Package tcp listens and dials over TCP: socket options in, connections out.
//
// The defaults suit a server that answers small requests to clients that may
// vanish without a word: no delay before a small write, dead peers noticed
// within 90 seconds both when idle and with data under way. What a platform
// cannot do is left out when it is a default, and an error wrapping
// errors.ErrUnsupported when it was asked for.
//
// Multipath TCP stays off, although package net listens with it where it can:
// such a socket takes only part of these options.
package tcp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"postern/transport"
)

// A Config is an address and the socket options of its connections. The zero
// value is a loopback port of the system's choice with every default.
//
// Listen and Dial read it once; changing it later changes nothing.
type Config struct {
	// Addr is "host:port". "" means "127.0.0.1:0". Port 0 lets the system choose;
	// Listener.Addr then says which. When listening, the host says which family
	// is meant: an IPv4 address, also 0.0.0.0, takes IPv4 only; an IPv6 address in
	// brackets, also [::], takes IPv6 only; an empty host takes every address of
	// both. A name is resolved to one of its addresses, IPv4 before IPv6. When
	// dialling, every address of a name is tried, both families racing, and an
	// empty host is this machine.
	Addr string

	// Backlog is how many connections may wait for Accept. Zero or negative: as
	// many as the system allows (on Linux net.core.somaxconn, usually 4096), which
	// also caps what is asked for. Not on Windows. Dial does not use it.
	Backlog int

	// ReusePort lets several listeners, of one process or of many of the same
	// user, share the address; the kernel spreads new connections over them. All
	// of them must ask for it. Linux only: elsewhere SO_REUSEPORT does not spread.
	// Connections that wait on one listener are reset when that one closes. Dial
	// does not use it.
	ReusePort bool

	// Nagle lets the system hold back a small write until the one before it has
	// been acknowledged (it turns TCP_NODELAY off). With writes of whole messages
	// that only costs time: 40 ms a message against a peer that delays its
	// acknowledgements.
	Nagle bool

	// KeepAliveIdle is how long a connection is silent before the system probes
	// whether the peer is still there. Zero: 60 s. Negative: no probes at all.
	KeepAliveIdle time.Duration
	// KeepAliveInterval is the time between unanswered probes. Zero: 10 s.
	// Negative: as the system has it.
	KeepAliveInterval time.Duration
	// KeepAliveProbes is how many unanswered probes end the connection. Zero: 3.
	// Negative: as many as the system has it.
	KeepAliveProbes int

	// UserTimeout is how long sent data may stay unacknowledged before the system
	// gives the connection up (RFC 5482). Zero: 90 s on Linux, nothing elsewhere.
	// Negative: as the system has it, on Linux some 15 minutes. Linux only. It
	// overrides KeepAliveProbes: a silent peer is given up after this time too,
	// which the defaults make the same 60 + 3*10 s.
	UserTimeout time.Duration
}

// withDefaults returns c with every zero replaced by what it stands for.
func (c Config) withDefaults() Config {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	if c.KeepAliveIdle == 0 {
		c.KeepAliveIdle = 60 * time.Second
	}
	if c.KeepAliveInterval == 0 {
		c.KeepAliveInterval = 10 * time.Second
	}
	if c.KeepAliveProbes == 0 {
		c.KeepAliveProbes = 3
	}
	if c.UserTimeout == 0 {
		c.UserTimeout = 90 * time.Second
	}
	return c
}

// A Listener accepts TCP connections. Its Accept waits out the errors that pass
// and counts them: see transport.Listener, whose methods it has.
type Listener struct {
	*transport.Listener
	socket listener
	nagle  bool
}

// listener is what a platform's listening socket can do.
type listener interface {
	net.Listener
	syscall.Conn
}

// Listen opens the socket, sets its options and starts to listen: when it
// returns, clients can connect, and Addr says where. The caller closes the
// Listener. An address in use is an error wrapping syscall.EADDRINUSE.
func Listen(c Config) (*Listener, error) {
	if err := supported(c); err != nil {
		return nil, fmt.Errorf("tcp: listen %s: %w", c.Addr, err)
	}
	c = c.withDefaults()
	lc := net.ListenConfig{
		Control:         control(c, c.ReusePort),
		KeepAlive:       -1, // only what KeepAliveConfig says
		KeepAliveConfig: keepAlive(c),
	}
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), family(c.Addr), c.Addr)
	if err != nil {
		return nil, fmt.Errorf("tcp: %w", err)
	}
	if c.Backlog > 0 {
		if err := setBacklog(ln.(*net.TCPListener), min(c.Backlog, math.MaxInt32)); err != nil {
			ln.Close()
			return nil, fmt.Errorf("tcp: listen %s: backlog: %w", c.Addr, err)
		}
	}
	socket, err := accepting(ln.(*net.TCPListener))
	if err != nil {
		return nil, fmt.Errorf("tcp: listen %s: %w", c.Addr, err)
	}
	return &Listener{Listener: transport.NewListener(socket), socket: socket, nagle: c.Nagle}, nil
}

// FromFile returns a Listener on a TCP socket that listens already, as a service
// manager or an older process of this program passes it on, with c's options for the
// connections: Addr, Backlog and ReusePort are as they are. The caller closes f, which
// is not used any more. Elsewhere than on Linux c's options for keepalive are errors,
// and the connections have those of package net. Unix only: elsewhere the error wraps
// errors.ErrUnsupported.
func FromFile(f *os.File, c Config) (*Listener, error) {
	c.Addr, c.Backlog, c.ReusePort = "", 0, false
	err := supported(c)
	var socket listener
	if err == nil {
		socket, err = fromFile(f, c)
	}
	if err != nil {
		return nil, fmt.Errorf("tcp: %s: %w", f.Name(), err)
	}
	return &Listener{Listener: transport.NewListener(socket), socket: socket, nagle: c.Nagle}, nil
}

// ListenN opens n listeners that share one address through ReusePort, which it
// sets. With port 0 they share the port that the system chose for the first.
// Either all of them listen or none does. The caller closes each.
func ListenN(c Config, n int) ([]*Listener, error) {
	if n < 1 {
		return nil, fmt.Errorf("tcp: listen %s: %d listeners asked for, need at least 1", c.Addr, n)
	}
	c.ReusePort = true
	var listeners []*Listener
	for len(listeners) < n {
		ln, err := Listen(c)
		if err != nil {
			for _, opened := range listeners {
				opened.Close()
			}
			return nil, err
		}
		listeners = append(listeners, ln)
		// The host stays as it was written: it says which families are meant.
		host, _, err := net.SplitHostPort(c.withDefaults().Addr)
		if err != nil {
			panic("tcp: an address that listens has no host and port: " + c.Addr)
		}
		c.Addr = net.JoinHostPort(host, strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
	}
	return listeners, nil
}

// Accept returns the next connection, with the options of the listener's
// Config. It has CloseWrite, CloseRead, SetLinger, SyscallConn and ReadFrom as
// *net.TCPConn has them, and on Linux it is a transport.Pumper and a
// transport.Watcher; the caller closes it.
func (l *Listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil && l.nagle {
		setNagle(conn)
	}
	return conn, err
}

// SyscallConn gives access to the listening socket, for options that Config
// does not know.
func (l *Listener) SyscallConn() (syscall.RawConn, error) { return l.socket.SyscallConn() }

// Dial connects to c.Addr, with c's options on the connection. It returns early
// when ctx ends, with an error that wraps the one of ctx; afterwards ctx
// does not matter. The connection has the methods that Accept describes; the
// caller closes it.
func Dial(ctx context.Context, c Config) (net.Conn, error) {
	c.Backlog, c.ReusePort = 0, false
	if err := supported(c); err != nil {
		return nil, fmt.Errorf("tcp: dial %s: %w", c.Addr, err)
	}
	c = c.withDefaults()
	d := net.Dialer{
		Control:         control(c, false),
		KeepAlive:       -1, // only what KeepAliveConfig says
		KeepAliveConfig: keepAlive(c),
	}
	d.SetMultipathTCP(false)
	conn, err := d.DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("tcp: %w", err)
	}
	if c.Nagle {
		if err := conn.(*net.TCPConn).SetNoDelay(false); err != nil {
			conn.Close()
			return nil, fmt.Errorf("tcp: dial %s: nagle: %w", c.Addr, err)
		}
	}
	return conn, nil
}

// family returns the network that listens at addr and nowhere else. Package net
// alone would take 0.0.0.0 and [::] both to mean every address of both
// families.
func family(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return "tcp" // Listen reports it
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "tcp"
	case ip.Unmap().Is4():
		return "tcp4"
	default:
		return "tcp6"
	}
}

// units returns d in units, rounded up, so that a short time does not become
// zero, which the system takes for "never" or refuses. What no socket option
// can hold is an error.
func units(d, unit time.Duration) (int, error) {
	n := (int64(d) + int64(unit) - 1) / int64(unit)
	if int64(d) > math.MaxInt64-int64(unit) || n > math.MaxInt32 {
		return 0, errors.New(d.String() + " is too long")
	}
	return int(n), nil
}
