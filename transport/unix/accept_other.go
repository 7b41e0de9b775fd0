//go:build unix && !linux && !aix && !solaris

package unix

import (
	"net"
	"os"
)

// accepting returns the listener that connections are taken from. The socket stays
// the caller's to close.
func accepting(listening *os.File, _ string) (listener, error) {
	ln, err := net.FileListener(listening)
	if err != nil {
		return nil, err
	}
	return ln.(listener), nil
}
