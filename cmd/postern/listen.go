package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"syscall"

	"postern/server"
	"postern/server/kvhttp"
	"postern/transport/inherit"
	"postern/transport/tcp"
	"postern/transport/unix"
)

const (
	defaultHost = "127.0.0.1"
	firstPort   = 8080
	lastPort    = 8180
)

// listen opens the TCP socket and, unless path is "", a Unix socket. addr "" means the
// first free of the default ports.
func listen(addr, path string) (sockets []inherit.Socket, err error) {
	ln, err := listenTCP(addr)
	if err != nil {
		return nil, err
	}
	sockets = append(sockets, inherit.Socket{Name: "tcp", Listener: ln})
	if path == "" {
		return sockets, nil
	}
	socket, err := unix.Listen(unix.Config{Path: path})
	if err != nil {
		closeAll(sockets)
		return nil, fmt.Errorf("serve: %w", err)
	}
	return append(sockets, inherit.Socket{Name: "unix", Listener: socket}), nil
}

func listenTCP(addr string) (net.Listener, error) {
	if addr != "" {
		ln, err := tcp.Listen(tcp.Config{Addr: addr})
		if err != nil {
			return nil, fmt.Errorf("serve: %w", err)
		}
		return ln, nil
	}
	for port := firstPort; ; port++ {
		ln, err := tcp.Listen(tcp.Config{Addr: net.JoinHostPort(defaultHost, strconv.Itoa(port))})
		switch {
		case err == nil:
			return ln, nil
		case !errors.Is(err, syscall.EADDRINUSE):
			return nil, fmt.Errorf("serve: %w", err)
		case port == lastPort:
			return nil, fmt.Errorf("serve: no port from %d to %d is free on %s: choose one with --addr", firstPort, lastPort, defaultHost)
		}
	}
}

// serving makes of sockets what the server serves, those over TCP first, each named by
// its address. Only those speak TLS, and only those can be reached from elsewhere.
func serving(sockets []inherit.Socket, guarded bool, secure *https) (listeners []net.Listener, err error) {
	for _, s := range sockets {
		addr := s.Listener.Addr()
		if onUnix(addr) {
			listeners = append(listeners, server.Listener{Listener: s.Listener, Name: "unix:" + addr.String()})
			continue
		}
		if !guarded && kvhttp.NeedsToken(addr) {
			return nil, fmt.Errorf("serve: %v can be reached from elsewhere: set --token or POSTERN_TOKEN, or listen on %s", addr, defaultHost)
		}
		ln, err := secure.wrap(s.Listener)
		if err != nil {
			return nil, fmt.Errorf("serve: %w", err)
		}
		listeners = append(listeners, server.Listener{Listener: ln, Name: addr.String()})
	}
	slices.SortStableFunc(listeners, func(a, b net.Listener) int { return cmp.Compare(a.Addr().Network(), b.Addr().Network()) })
	return listeners, nil
}

func onUnix(addr net.Addr) bool { return addr.Network() == "unix" }

func closeAll(sockets []inherit.Socket) {
	for _, s := range sockets {
		s.Listener.Close()
	}
}

// localHost returns the address of a listener as a client on this machine writes it.
func localHost(addr net.Addr) string {
	host := addr.String()
	if a, ok := addr.(*net.TCPAddr); ok && a.IP.IsUnspecified() {
		loopback := "::1"
		if a.IP.To4() != nil {
			loopback = defaultHost
		}
		host = net.JoinHostPort(loopback, strconv.Itoa(a.Port))
	}
	return host
}
