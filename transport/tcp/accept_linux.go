package tcp

import (
	"net"

	"postern/transport/internal/socket"
)

// accepting returns the listener that connections are taken from, in place of ln:
// it costs one system call a connection, and its connections can pump.
func accepting(ln *net.TCPListener) (listener, error) {
	defer ln.Close() // its descriptor is duplicated
	f, err := ln.File()
	if err != nil {
		return nil, err
	}
	l, err := socket.Listen(f, ln.Addr())
	if err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

// setNagle has nothing to do: the listener's option is inherited.
func setNagle(net.Conn) {}
