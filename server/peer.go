package server

import (
	"errors"
	"net"

	"postern/transport/unix"
)

// PeerCred returns which process the client is, if it came through a Unix socket of
// Linux, with TLS or without; see unix.PeerCred for what it is worth. A request of
// Handler.HTTP or NewRequest has no connection that could be asked.
func (r *Request) PeerCred() (unix.Cred, error) {
	nc, ok := r.peers.(net.Conn)
	if !ok {
		return unix.Cred{}, errors.New("server: the request has no connection")
	}
	if h, ok := nc.(handshaker); ok {
		nc = h.NetConn()
	}
	return unix.PeerCred(nc)
}
