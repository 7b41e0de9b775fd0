package server

import (
	"errors"

	"postern/transport/unix"
)

// PeerCred returns which process the client is, if it came through a Unix socket of
// Linux; see unix.PeerCred for what it is worth.
func (r *Request) PeerCred() (unix.Cred, error) {
	if r.conn == nil {
		return unix.Cred{}, errors.New("server: the request has no connection")
	}
	return unix.PeerCred(r.conn.nc)
}
