//go:build linux

package main

import (
	"bytes"
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// target is a server as the client sees it: its connections, and what was measured.
type target struct {
	name    string
	sa      unix.Sockaddr
	w       *workload
	request []byte // as many as go into one write
	want    int    // bytes of each reply, head and content
	ep      int
	conns   []*conn
	next    int // the connection whose turn it is in an open loop

	inFlight, errors int
	times            histogram
}

// conn is a connection to a target, whose Read and Write do not block.
type conn struct {
	net.Conn // nil: crypto/tls uses nothing of it here
	fd       int
	index    int32
	tls      *stdtls.Conn // nil: none
	blocking bool         // during the handshake, and when a reply is checked
	inFlight int          // requests
	got      int          // bytes of the reply
	sent     time.Time    // when it was to be sent
}

var clientTLS = &stdtls.Config{InsecureSkipVerify: true, MinVersion: stdtls.VersionTLS13}

// newTarget connects to addr once and checks the reply.
func newTarget(name, addr string, w *workload) (*target, error) {
	t := &target{name: name, w: w, ep: -1, request: bytes.Repeat(w.request(), max(w.depth, 1))}
	if w.unix {
		t.sa = &unix.SockaddrUnix{Name: addr}
	} else {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			return nil, err
		}
		t.sa = &unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(tcp.IP.To4())}
	}
	c := new(conn)
	if err := t.dial(c); err != nil {
		return nil, err
	}
	defer unix.Close(c.fd)
	return t, t.check(c)
}

// check sends a request, and learns from the reply how long each is to be.
func (t *target) check(c *conn) error {
	c.blocking = true
	if _, err := c.stream().Write(t.w.request()); err != nil {
		return err
	}
	var got []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := c.stream().Read(buf)
		got = append(got, buf[:n]...)
		head, content, found := bytes.Cut(got, []byte("\r\n\r\n"))
		if found {
			_, after, _ := bytes.Cut(bytes.ToLower(head), []byte("\r\ncontent-length:"))
			field, _, _ := bytes.Cut(after, []byte("\r"))
			length, _ := strconv.Atoi(string(bytes.TrimSpace(field)))
			if len(content) >= length {
				if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) || !bytes.Equal(content, t.w.reply()) {
					return fmt.Errorf("wrong reply: %.200q", got)
				}
				t.want = len(got)
				return nil
			}
		}
		if err != nil {
			return fmt.Errorf("reply %.200q: %w", got, err)
		}
	}
}

// open makes all connections that the workload has.
func (t *target) open() (err error) {
	if t.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	for i := range t.w.conns {
		c := &conn{index: int32(i)}
		if err := t.dial(c); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		t.conns = append(t.conns, c)
	}
	return nil
}

func (t *target) close() {
	for _, c := range t.conns {
		unix.Close(c.fd)
	}
	t.conns = nil
	if t.ep >= 0 {
		unix.Close(t.ep)
	}
}

// dial connects c, and has epoll watch it if that is there.
func (t *target) dial(c *conn) error {
	family := unix.AF_INET
	if t.w.unix {
		family = unix.AF_UNIX
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err = unix.Connect(fd, t.sa); err == nil && !t.w.unix {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	*c = conn{fd: fd, index: c.index}
	if err == nil && t.w.tls {
		c.tls, c.blocking = stdtls.Client(c, clientTLS), true
		err = c.tls.Handshake()
		c.blocking = false
	}
	if err == nil && t.ep >= 0 {
		err = unix.EpollCtl(t.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: c.index})
	}
	if err != nil {
		unix.Close(fd)
	}
	return err
}

// again is what a Read without bytes returns. It is Temporary, which crypto/tls does
// not take for the end: so the loop can drive TLS, too.
type again struct{ error }

func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

var errAgain net.Error = again{errors.New("no bytes yet")}

// stream is c, or TLS over it.
func (c *conn) stream() io.ReadWriter {
	if c.tls != nil {
		return c.tls
	}
	return c
}

func (c *conn) Read(p []byte) (int, error) {
	flags := unix.MSG_DONTWAIT
	if c.blocking {
		flags = 0
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(c.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), uintptr(flags), 0, 0)
	switch {
	case errno == unix.EAGAIN:
		return 0, errAgain
	case errno != 0:
		return 0, errno
	case n == 0:
		return 0, io.EOF
	}
	return int(n), nil
}

// Write takes all or fails: there is always room for what a connection has in flight.
func (c *conn) Write(p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(c.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	if int(n) < len(p) {
		return int(n), io.ErrShortWrite
	}
	return int(n), nil
}
