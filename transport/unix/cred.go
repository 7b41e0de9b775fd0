package unix

import (
	"fmt"
	"net"
	"syscall"
)

// A Cred says which process is at the other end of a connection, as the kernel
// saw it when that end connected, or listened. The process may have ended or
// changed its user since, and its number may be another's now.
type Cred struct {
	PID int // 0 when the process is in a PID namespace that cannot be seen from here
	UID uint32
	GID uint32
}

// PeerCred returns who is at the other end of conn, a connection of this
// package, accepted or dialled. Linux only: elsewhere the error wraps
// errors.ErrUnsupported.
func PeerCred(conn net.Conn) (Cred, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok || conn.LocalAddr().Network() != "unix" {
		return Cred{}, fmt.Errorf("unix: peer credentials: %T is no Unix socket", conn)
	}
	rc, err := sc.SyscallConn()
	var cred Cred
	if err == nil {
		cred, err = peerCred(rc)
	}
	if err != nil {
		return Cred{}, fmt.Errorf("unix: peer credentials: %w", err)
	}
	return cred, nil
}
