package socket

import (
	"encoding/binary"
	"net"
	"strconv"
	"syscall"
)

// rawAddr is an IP address as accept4(2) fills it in: kept as it is until somebody
// asks, which for most connections nobody does.
type rawAddr struct {
	bytes [syscall.SizeofSockaddrInet6]byte
	size  uint32 // of what is filled in
}

// addr returns the address, or nil if there is none.
func (a *rawAddr) addr() net.Addr {
	if a.size < 4 {
		return nil
	}
	b := a.bytes[:]
	port := int(binary.BigEndian.Uint16(b[2:]))
	switch binary.NativeEndian.Uint16(b) {
	case syscall.AF_INET:
		return &net.TCPAddr{IP: net.IP(b[4:8:8]), Port: port}
	case syscall.AF_INET6:
		return &net.TCPAddr{IP: net.IP(b[8:24:24]), Port: port, Zone: zone(binary.NativeEndian.Uint32(b[24:]))}
	}
	return nil
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
