package unix

import (
	"net"
	"os"

	"postern/transport/internal/socket"
)

// accepting returns the listener that connections are taken from: it costs one
// system call a connection, and its connections can pump. The socket stays the
// caller's to close.
func accepting(listening *os.File, path string) (listener, error) {
	f, err := socket.Dup(listening, path)
	if err != nil {
		return nil, err
	}
	l, err := socket.Listen(f, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}
