//go:build unix && !aix && !solaris

package socket

import (
	"errors"
	"net"
	"os"
	"strconv"
	"syscall"
)

// Listening returns the address of f, which has to be a stream socket that listens.
func Listening(f *os.File) (net.Addr, error) {
	var sa syscall.Sockaddr
	var faults [3]error
	kind, listens := 0, 0
	err := control(f, func(fd int) {
		kind, faults[0] = syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
		listens, faults[1] = syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
		sa, faults[2] = syscall.Getsockname(fd)
	})
	switch {
	case err != nil:
		return nil, err
	case faults[0] != nil:
		return nil, os.NewSyscallError("getsockopt", faults[0])
	case kind != syscall.SOCK_STREAM:
		return nil, errors.New("is no stream socket")
	case faults[1] != nil:
		return nil, os.NewSyscallError("getsockopt", faults[1])
	case listens == 0:
		return nil, errors.New("does not listen")
	case faults[2] != nil:
		return nil, os.NewSyscallError("getsockname", faults[2])
	}
	switch sa.(type) {
	case *syscall.SockaddrInet4, *syscall.SockaddrInet6:
		return address("tcp", sa), nil
	case *syscall.SockaddrUnix:
		return address("unix", sa), nil
	}
	return nil, errors.New("is of a family that is none of IPv4, IPv6 and Unix")
}

// Dup returns another descriptor of what f is, in non-blocking mode, which is what
// makes os.NewFile poll it, and closed on exec. f.Fd could make it block: the mode
// belongs to the socket and is the same for all of its descriptors.
func Dup(f syscall.Conn, name string) (*os.File, error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	var fault error
	err = rc.Control(func(old uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if fd, fault = syscall.Dup(int(old)); fault == nil {
			syscall.CloseOnExec(fd)
		}
	})
	if err != nil {
		return nil, err
	}
	if fault != nil {
		return nil, os.NewSyscallError("dup", fault)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, os.NewSyscallError("setnonblock", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func control(file *os.File, f func(fd int)) error {
	rc, err := file.SyscallConn()
	if err != nil {
		return err
	}
	return rc.Control(func(fd uintptr) { f(int(fd)) })
}

// address returns sa as package net has it; nil is the empty address.
func address(network string, sa syscall.Sockaddr) net.Addr {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *syscall.SockaddrInet6:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port, Zone: zone(sa.ZoneId)}
	case *syscall.SockaddrUnix:
		return &net.UnixAddr{Name: sa.Name, Net: network}
	}
	if network == "unix" {
		return &net.UnixAddr{Net: network}
	}
	return &net.TCPAddr{}
}

// zone returns the name of a network interface.
func zone(index uint32) string {
	if index == 0 {
		return ""
	}
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return i.Name
	}
	return strconv.Itoa(int(index))
}
