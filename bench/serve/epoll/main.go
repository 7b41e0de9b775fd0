//go:build linux

// Epoll is no server but the limit of one in Go: a single thread that waits in epoll,
// takes every empty line for the end of a request's head, and answers with fixed bytes.
// It parses nothing and never looks at what is asked for, so its flags say it.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"postern/bench/serve/peer"
)

var (
	path   = flag.String("path", "/", "the path that is asked for")
	closes = flag.Bool("close", false, "end the connection after each reply")

	reply []byte // to GET; for POST, the head of it
	echo  int    // bytes of content that each request has; 0: it is GET
)

// conn is what has come of a request that is not complete.
type conn struct{ rest []byte }

func main() {
	flag.IntVar(&echo, "echo", 0, "each request has so many `bytes` of content, which are sent back")
	ln := peer.Listen()
	content, length := peer.Content(*path), echo
	if echo == 0 {
		length = len(content)
	}
	reply = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n", length)
	if *closes {
		reply = append(reply, "Connection: close\r\n"...)
	}
	reply = append(append(reply, "\r\n"...), content...)
	runtime.LockOSThread()
	peer.Fatal(loop(ln.(syscall.Conn), ln.Addr().Network() == "tcp"))
}

func loop(ln syscall.Conn, tcp bool) error {
	raw, err := ln.SyscallConn()
	if err != nil {
		return err
	}
	listener := -1
	if err := raw.Control(func(fd uintptr) { listener = int(fd) }); err != nil {
		return err
	}
	ep, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, listener, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(listener)}); err != nil {
		return err
	}
	if tcp { // what is accepted inherits it
		if err := unix.SetsockoptInt(listener, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return err
		}
	}
	conns := make([]*conn, 1<<16)
	in, out := make([]byte, 64<<10), make([]byte, 0, 1<<20)
	events := make([]unix.EpollEvent, 512)
	defer runtime.KeepAlive(ln)
	for {
		// A look first: a wait that may block goes through Go's scheduler.
		n := int(int32(raw6(unix.SYS_EPOLL_PWAIT, ep, unsafe.Pointer(&events[0]), len(events), 0)))
		if n <= 0 {
			if n, err = unix.EpollWait(ep, events, -1); err != nil && err != unix.EINTR {
				return err
			}
		}
		for _, e := range events[:max(n, 0)] {
			fd := int(e.Fd)
			if fd != listener {
				if c := conns[fd]; !c.serve(fd, in, &out) {
					unix.Close(fd)
				}
				continue
			}
			for {
				fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
				if err != nil {
					break
				}
				conns[fd] = new(conn)
				unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
			}
		}
	}
}

// serve answers what has come, and reports whether more may come.
func (c *conn) serve(fd int, in []byte, out *[]byte) bool {
	n := raw6(unix.SYS_RECVFROM, fd, unsafe.Pointer(&in[0]), len(in), unix.MSG_DONTWAIT)
	if n <= 0 {
		return n == -int(unix.EAGAIN)
	}
	in = in[:n]
	if len(c.rest) > 0 {
		in = append(c.rest, in...)
	}
	*out = (*out)[:0]
	for {
		end := bytes.Index(in, []byte("\r\n\r\n"))
		if end < 0 || len(in) < end+4+echo {
			break
		}
		*out = append(append(*out, reply...), in[end+4:end+4+echo]...)
		in = in[end+4+echo:]
	}
	c.rest = append(c.rest[:0], in...)
	if len(*out) == 0 {
		return true
	}
	n = raw6(unix.SYS_SENDTO, fd, unsafe.Pointer(&(*out)[0]), len(*out), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	return n == len(*out) && !*closes // the client leaves no reply unread: all fits
}

// raw6 is a call that cannot block, without the scheduler's knowing. It returns the
// result, or the negative errno.
func raw6(trap uintptr, fd int, p unsafe.Pointer, n, flags int) int {
	r, _, errno := syscall.RawSyscall6(trap, uintptr(fd), uintptr(p), uintptr(n), uintptr(flags), 0, 0)
	if errno != 0 {
		return -int(errno)
	}
	return int(r)
}
