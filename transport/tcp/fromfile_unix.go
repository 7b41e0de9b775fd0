//go:build unix && !linux && !aix && !solaris

package tcp

import (
	"errors"
	"fmt"
	"net"
	"os"

	"postern/transport/internal/socket"
)

func fromFile(f *os.File, c Config) (listener, error) {
	if c.KeepAliveIdle != 0 || c.KeepAliveInterval != 0 || c.KeepAliveProbes != 0 {
		return nil, fmt.Errorf("keepalive: %w", errors.ErrUnsupported)
	}
	addr, err := socket.Listening(f)
	if err != nil {
		return nil, err
	}
	if _, ok := addr.(*net.TCPAddr); !ok {
		return nil, errors.New("is no TCP socket")
	}
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	return ln.(*net.TCPListener), nil
}
