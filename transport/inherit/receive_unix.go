//go:build unix && !aix && !solaris

package inherit

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"postern/transport/internal/socket"
	"postern/transport/tcp"
	"postern/transport/unix"
)

// takePipe makes a file of the pipe that was passed.
func takePipe(fd int) (*os.File, error) { return take(fd, syscall.S_IFIFO, "pipe") }

// take makes a file of a descriptor that was passed, if it is of that kind: another
// may be the runtime's own. No child inherits it any more.
func take(fd int, format uint32, kind string) (*os.File, error) {
	var st syscall.Stat_t
	err := syscall.Fstat(fd, &st)
	if err == nil && uint32(st.Mode)&syscall.S_IFMT != format {
		err = fmt.Errorf("is no %s", kind)
	}
	if err == nil {
		syscall.CloseOnExec(fd)
		err = syscall.SetNonblock(fd, true)
	}
	name := fmt.Sprintf("descriptor %d", fd)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// listener makes a listener of a descriptor that was passed.
func listener(fd int, name string) (net.Listener, error) {
	f, err := take(fd, syscall.S_IFSOCK, "socket")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	addr, err := socket.Listening(f)
	if err == nil {
		if addr.Network() == "unix" {
			return unix.FromFile(f)
		}
		return tcp.FromFile(f, tcp.Config{})
	}
	return nil, fmt.Errorf("descriptor %d, %q: %w", fd, name, err)
}
