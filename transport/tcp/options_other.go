//go:build !linux

package tcp

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// supported refuses what c asks for and only Linux has. BSDs and macOS know
// SO_REUSEPORT, but give every connection to one of the listeners.
func supported(c Config) error {
	if c.ReusePort {
		return fmt.Errorf("ReusePort: %w", errors.ErrUnsupported)
	}
	if c.UserTimeout > 0 {
		return fmt.Errorf("UserTimeout: %w", errors.ErrUnsupported)
	}
	for _, d := range []time.Duration{c.KeepAliveIdle, c.KeepAliveInterval} {
		if _, err := units(d, time.Second); err != nil {
			return fmt.Errorf("keepalive: %w", err)
		}
	}
	return nil
}

// keepAlive has package net set the probes on each connection: not every system
// lets a connection inherit them.
func keepAlive(c Config) net.KeepAliveConfig {
	return net.KeepAliveConfig{
		Enable:   c.KeepAliveIdle > 0,
		Idle:     c.KeepAliveIdle,
		Interval: c.KeepAliveInterval,
		Count:    c.KeepAliveProbes,
	}
}

// control has nothing left to set.
func control(Config, bool) func(network, address string, rc syscall.RawConn) error { return nil }
