//go:build !unix || aix || solaris

package unix

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// refused is the answer of a socket that nobody listens on: WSAECONNREFUSED.
const refused = syscall.Errno(10061)

// listen leaves the socket to package net, which removes the file on close,
// and so returns no name.
func listen(c Config) (listener, *name, error) {
	for option, asked := range map[string]bool{
		"Mode": c.Mode != 0, "UID": c.UID > 0, "GID": c.GID > 0, "Backlog": c.Backlog > 0,
	} {
		if asked {
			return nil, nil, fmt.Errorf("%s: %w", option, errors.ErrUnsupported)
		}
	}
	n, err := openName(c.Path)
	if err != nil {
		return nil, nil, err
	}
	defer n.dir.Close()
	if err := n.clear(); err != nil {
		return nil, nil, err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: c.Path, Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
	return ln, nil, nil
}

// tryLock does without: there is no flock here.
func tryLock(*os.File) bool { return true }
