package tcp

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT, which package syscall has for some
// architectures only.
const tcpUserTimeout = 0x12

// tcpNotSentLowAt is TCP_NOTSENT_LOWAT, which package syscall does not have.
const tcpNotSentLowAt = 0x19

// maxUnsent is how many bytes wait in the kernel, beyond what is on its way. Without
// a limit a peer that does not read makes the kernel hold megabytes for it, and a few
// hundred such peers all that the kernel has for sockets. It is enough to keep a fast
// network busy until the next write.
const maxUnsent = 256 << 10

// soReusePort is SO_REUSEPORT, which package syscall has for some architectures
// only.
func soReusePort() int {
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		return 0x200
	}
	return 0xf
}

// supported has nothing to refuse: the kernel judges every option itself.
func supported(Config) error { return nil }

// keepAlive leaves the probes to control. Package net would set them on every
// connection, and keep the system's objections to itself.
func keepAlive(Config) net.KeepAliveConfig { return net.KeepAliveConfig{} }

// control sets the options before the socket is bound or connected. Accepted
// connections inherit those of the listener, so they cost nothing an accept.
func control(c Config, reusePort bool) func(network, address string, rc syscall.RawConn) error {
	return func(_, _ string, rc syscall.RawConn) error {
		var err error
		if failed := rc.Control(func(fd uintptr) { err = setOptions(int(fd), c, reusePort) }); failed != nil {
			return failed
		}
		return err
	}
}

func setOptions(fd int, c Config, reusePort bool) error {
	if !c.Nagle { // package net sets it on connections that it accepts, and these are not
		if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
			return fmt.Errorf("TCP_NODELAY: %w", err)
		}
	}
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, tcpNotSentLowAt, maxUnsent) // what is no Linux may not have it
	if reusePort {
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, soReusePort(), 1); err != nil {
			return fmt.Errorf("SO_REUSEPORT: %w", err)
		}
	}
	if c.KeepAliveIdle > 0 {
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1); err != nil {
			return fmt.Errorf("SO_KEEPALIVE: %w", err)
		}
		if err := setTime(fd, syscall.TCP_KEEPIDLE, c.KeepAliveIdle, time.Second); err != nil {
			return fmt.Errorf("TCP_KEEPIDLE: %w", err)
		}
		if err := setTime(fd, syscall.TCP_KEEPINTVL, c.KeepAliveInterval, time.Second); err != nil {
			return fmt.Errorf("TCP_KEEPINTVL: %w", err)
		}
		if c.KeepAliveProbes > 0 {
			if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, c.KeepAliveProbes); err != nil {
				return fmt.Errorf("TCP_KEEPCNT %d: %w", c.KeepAliveProbes, err)
			}
		}
	}
	if err := setTime(fd, tcpUserTimeout, c.UserTimeout, time.Millisecond); err != nil {
		return fmt.Errorf("TCP_USER_TIMEOUT: %w", err)
	}
	return nil
}

// setTime sets an option that counts in unit. A negative d leaves it alone.
func setTime(fd, option int, d, unit time.Duration) error {
	if d < 0 {
		return nil
	}
	n, err := units(d, unit)
	if err != nil {
		return err
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, option, n); err != nil {
		return fmt.Errorf("%v: %w", d, err)
	}
	return nil
}
