package unix

import (
	"net"
	"os"
	"syscall"

	"postern/transport/internal/socket"
)

// accepting returns the listener that connections are taken from: it costs one
// system call a connection, and its connections can pump. The socket stays the
// caller's to close.
func accepting(listening *os.File, path string) (listener, error) {
	fd, err := dup(listening)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	l, err := socket.Listen(f, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

// dup returns a new descriptor in non-blocking mode, which is what makes os.NewFile
// poll it.
func dup(f *os.File) (int, error) {
	syscall.ForkLock.RLock()
	fd, err := syscall.Dup(int(f.Fd()))
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	return fd, os.NewSyscallError("dup", err)
}
