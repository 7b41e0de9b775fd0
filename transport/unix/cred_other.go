//go:build !linux

package unix

import (
	"errors"
	"syscall"
)

func peerCred(syscall.RawConn) (Cred, error) { return Cred{}, errors.ErrUnsupported }
