package unix

import (
	"os"
	"syscall"
)

// peerCred asks by SO_PEERCRED.
func peerCred(rc syscall.RawConn) (Cred, error) {
	var u *syscall.Ucred
	var optErr error
	err := rc.Control(func(fd uintptr) {
		u, optErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err != nil {
		return Cred{}, err
	}
	if optErr != nil {
		return Cred{}, os.NewSyscallError("getsockopt", optErr)
	}
	return Cred{PID: int(u.Pid), UID: u.Uid, GID: u.Gid}, nil
}
