package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"postern/server"
	"postern/server/kvhttp"
	"postern/transport/tcp"
	"postern/transport/unix"
)

const (
	defaultHost = "127.0.0.1"
	firstPort   = 8080
	lastPort    = 8180
)

// listen opens the TCP listener and, unless path is "", one on a Unix socket,
// each named by its address. addr "" means the first free of the default ports.
// Only the TCP listener speaks TLS.
func listen(addr, path string, guarded bool, secure *https) (listeners []net.Listener, err error) {
	defer func() {
		if err != nil {
			closeAll(listeners)
		}
	}()
	ln, err := listenTCP(addr)
	if err != nil {
		return nil, err
	}
	if ln, err = secure.wrap(ln); err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	listeners = append(listeners, server.Listener{Listener: ln, Name: ln.Addr().String()})
	if !guarded && kvhttp.NeedsToken(ln.Addr()) {
		return listeners, fmt.Errorf("serve: %v can be reached from elsewhere: set --token or POSTERN_TOKEN, or listen on %s", ln.Addr(), defaultHost)
	}
	if path == "" {
		return listeners, nil
	}
	socket, err := unix.Listen(unix.Config{Path: path})
	if err != nil {
		return listeners, fmt.Errorf("serve: %w", err)
	}
	return append(listeners, server.Listener{Listener: socket, Name: "unix:" + path}), nil
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

func closeAll(listeners []net.Listener) {
	for _, ln := range listeners {
		ln.Close()
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
