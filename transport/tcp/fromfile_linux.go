package tcp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"postern/transport/internal/socket"
)

func fromFile(f *os.File, c Config) (listener, error) {
	addr, err := socket.Listening(f)
	if err != nil {
		return nil, err
	}
	if _, ok := addr.(*net.TCPAddr); !ok {
		return nil, errors.New("is no TCP socket")
	}
	dup, err := socket.Dup(f, f.Name())
	if err != nil {
		return nil, err
	}
	rc, err := dup.SyscallConn()
	if err == nil {
		err = control(c.withDefaults(), false)("", "", rc)
		if errors.Is(err, syscall.ENOPROTOOPT) && c.UserTimeout == 0 { // of Multipath TCP, which package net listens with
			c.UserTimeout = -1
			err = control(c.withDefaults(), false)("", "", rc)
		}
	}
	if err == nil && c.Nagle { // it may be on
		err = turnOffNoDelay(rc)
	}
	var l *socket.Listener
	if err == nil {
		l, err = socket.Listen(dup, addr)
	}
	if err != nil {
		dup.Close()
		return nil, err
	}
	return l, nil
}

func turnOffNoDelay(rc syscall.RawConn) error {
	var err error
	if failed := rc.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 0)
	}); failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("TCP_NODELAY: %w", err)
	}
	return nil
}
