//go:build unix

package tcp

import (
	"net"
	"os"
	"syscall"
)

// setBacklog listens again, which changes only how long the queue may get.
// Package net has just listened with the system's maximum, so until here the
// queue is too long at worst.
func setBacklog(ln *net.TCPListener, n int) error {
	rc, err := ln.SyscallConn()
	if err != nil {
		return err
	}
	var listenErr error
	if err := rc.Control(func(fd uintptr) { listenErr = syscall.Listen(int(fd), n) }); err != nil {
		return err
	}
	return os.NewSyscallError("listen", listenErr)
}
