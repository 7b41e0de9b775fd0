package socket

import (
	"encoding/binary"
	"net"
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
