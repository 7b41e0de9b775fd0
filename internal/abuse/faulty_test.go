package abuse

import (
	"math/rand/v2"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// faulty is a listener whose connections are as bad as a network can make them:
// they read less than there is, write in parts, take their time, and have small
// buffers. Those that are torn break off for good.
type faulty struct {
	net.Listener
	bare bool // only the buffer is small: the connection can still drive a Pump
	torn bool
}

func (l faulty) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if s, ok := c.(syscall.Conn); ok && rand.IntN(2) == 0 {
		if rc, err := s.SyscallConn(); err == nil {
			_ = rc.Control(func(fd uintptr) {
				_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 4096) // else it is large
			})
		}
	}
	if l.bare {
		return c, nil
	}
	f := &faultyConn{Conn: c}
	f.left.Store(1 << 60)
	if l.torn {
		f.left.Store(rand.Int64N(20_000))
	}
	return f, nil
}

type faultyConn struct {
	net.Conn
	left atomic.Int64 // bytes until it breaks off
}

// fault delays, and breaks off when n more bytes are too many.
func (c *faultyConn) fault(n int) bool {
	if rand.IntN(50) == 0 {
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
	}
	if c.left.Add(int64(-n)) >= 0 {
		return false
	}
	if l, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0) // failing, it is closed already
	}
	_ = c.Conn.Close()
	return true
}

// part is how much of n bytes goes at a time.
func part(n int) int {
	if n <= 1 || rand.IntN(3) == 0 {
		return n
	}
	return max(1+rand.IntN(n), n/20)
}

func (c *faultyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:part(len(p))])
	if c.fault(n) {
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *faultyConn) Write(p []byte) (n int, err error) {
	for first := true; first || n < len(p) && err == nil; first = false {
		m := 0
		m, err = c.Conn.Write(p[n:][:part(len(p)-n)])
		if n += m; c.fault(m) {
			return n, net.ErrClosed
		}
	}
	return n, err
}

func (c *faultyConn) CloseWrite() error {
	return c.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

func (c *faultyConn) SetLinger(sec int) error {
	if l, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		return l.SetLinger(sec)
	}
	return nil
}
