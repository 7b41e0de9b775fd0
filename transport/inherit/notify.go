package inherit

import (
	"fmt"
	"net"
	"os"
)

// Notify tells the service manager the state of this process, in the words of
// sd_notify(3): "READY=1", "STOPPING=1", "MAINPID=..." and others, one a line. It
// reports false if there is nobody to tell, which is when NOTIFY_SOCKET is not set.
func Notify(state string) (told bool, err error) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return false, nil
	}
	if path[0] != '/' && path[0] != '@' {
		return false, fmt.Errorf("inherit: NOTIFY_SOCKET=%.100q is no Unix socket", path)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return false, fmt.Errorf("inherit: notify: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return false, fmt.Errorf("inherit: notify: %w", err)
	}
	return true, nil
}
