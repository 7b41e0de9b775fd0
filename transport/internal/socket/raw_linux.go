package socket

import (
	"os"
	"syscall"
	"unsafe"
)

// The system calls of the hot path, made without telling the scheduler: on a
// descriptor in non-blocking mode they return at once, and telling it costs more
// than they do (0.3 µs of 5). They must never see a descriptor that can block.
//
// unsafe: each takes the address of memory that the caller holds, at least as long
// as the length says, and the conversion stands in the call itself, which keeps
// the memory where it is until the kernel is done (unsafe.Pointer, rule 4).

// recv reads into p, which is not empty: recvfrom(2). Reading without waiting is
// never interrupted (EINTR), nor is send.
func recv(fd uintptr, p []byte) (int, syscall.Errno) {
	if raceEnabled {
		return raceRecv(fd, p)
	}
	n, _, errno := syscall.RawSyscall6(sysRecvfrom, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0, 0, 0)
	return int(n), errno
}

// waiting reports whether recv would not have to wait: there are bytes, an end or an
// error.
func waiting(fd uintptr) bool {
	_, errno := peek(fd)
	return errno != syscall.EAGAIN
}

// peek returns how many bytes recv would find, one at most.
func peek(fd uintptr) (int, syscall.Errno) {
	var b [1]byte
	const flags = syscall.MSG_PEEK | syscall.MSG_DONTWAIT
	n, _, errno := syscall.RawSyscall6(sysRecvfrom, fd, uintptr(unsafe.Pointer(&b)), 1, flags, 0, 0)
	return int(n), errno
}

// send writes of p, which is not empty, what the socket takes: sendto(2). A peer
// that is gone is an error and no signal.
func send(fd uintptr, p []byte) (int, syscall.Errno) {
	if raceEnabled {
		return raceSend(fd, p)
	}
	n, _, errno := syscall.RawSyscall6(sysSendto, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), syscall.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// accept returns the next connection of a listening socket, in non-blocking mode
// and closed on exec, and its peer's address if peer is not nil: accept4(2).
func accept(fd uintptr, peer *rawAddr) (int, syscall.Errno) {
	const flags = syscall.SOCK_NONBLOCK | syscall.SOCK_CLOEXEC
	if peer == nil {
		n, _, errno := syscall.RawSyscall6(sysAccept4, fd, 0, 0, flags, 0, 0)
		return int(n), errno
	}
	peer.size = uint32(len(peer.bytes))
	n, _, errno := syscall.RawSyscall6(sysAccept4, fd, uintptr(unsafe.Pointer(&peer.bytes)), uintptr(unsafe.Pointer(&peer.size)), flags, 0, 0)
	return int(n), errno
}

// hangup returns what has become of the peer by now: ppoll(2), which does not wait.
func hangup(fd int) (e events) {
	p := struct {
		fd              int32
		events, revents int16
	}{int32(fd), syscall.EPOLLRDHUP, 0}
	var zero syscall.Timespec
	n, _, _ := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&zero)), 0, 0, 0)
	if n == 1 {
		e = heard(uint32(p.revents))
	}
	return e
}

// shut closes a socket that does not linger: close(2).
func shut(fd int) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0); errno != 0 {
		return os.NewSyscallError("close", errno)
	}
	return nil
}
