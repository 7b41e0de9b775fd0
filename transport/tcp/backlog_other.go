//go:build !unix

package tcp

import (
	"errors"
	"net"
)

// setBacklog cannot: Windows ignores a second listen, and the first is package
// net's.
func setBacklog(*net.TCPListener, int) error { return errors.ErrUnsupported }
