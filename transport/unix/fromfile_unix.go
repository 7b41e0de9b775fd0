//go:build unix && !aix && !solaris

package unix

import (
	"errors"
	"net"
	"os"

	"postern/transport/internal/socket"
)

func fromFile(f *os.File) (listener, error) {
	addr, err := socket.Listening(f)
	if err != nil {
		return nil, err
	}
	if _, ok := addr.(*net.UnixAddr); !ok {
		return nil, errors.New("is no Unix socket")
	}
	return accepting(f, addr.String())
}
