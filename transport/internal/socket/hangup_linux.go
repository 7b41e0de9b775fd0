package socket

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// The hang-up set is a second epoll set that reports only that a peer has finished
// sending or is gone. It is there for an edge that is spent: a peer that sends a
// request and half-closes in one segment raises one edge for both, and the one who
// has read the request to its last byte and waits would not learn of the end. It
// also tells a handler at work that its client is gone.
//
// The set's own descriptor is polled by the runtime, so one goroutine waits for all
// and no thread does. It starts with the first user, a listener or a connection,
// and ends with the last. Events name a slot and how often it was taken, not a
// descriptor: those are used again at once.
type hangupSet struct {
	mu    sync.Mutex
	users int
	file  *os.File // the epoll descriptor; nil while there are no users
	fd    int
	slots []slot
	free  []uint32
}

type slot struct {
	conn *Conn
	turn uint32 // how often it was taken
}

// A member is a connection's place in the set; the zero value is none.
type member struct{ slot, turn uint32 }

var hangups hangupSet

// events are what the set has told of a connection.
type events uint8

const (
	finished events = 1 << iota // the peer has finished sending (RDHUP)
	broken                      // it is gone (HUP, ERR)
)

// retain is called for each user before anything else is done for it.
func (h *hangupSet) retain() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.file == nil {
		fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
		if err != nil {
			return os.NewSyscallError("epoll_create1", err)
		}
		if err = syscall.SetNonblock(fd, true); err != nil { // or os.NewFile would not poll it
			syscall.Close(fd)
			return err
		}
		f := os.NewFile(uintptr(fd), "hang-ups")
		if err = f.SetReadDeadline(time.Time{}); err != nil { // the poller does not know it
			f.Close()
			return err
		}
		h.fd, h.file = fd, f
		go watch(f) // ends with the last release
	}
	h.users++
	return nil
}

// release is the end of a user. It does not close the file, which would wait for
// the watcher, who may wait for a lock that the user holds, or be the user.
func (h *hangupSet) release() {
	h.mu.Lock()
	if h.users--; h.users == 0 {
		_ = h.file.SetReadDeadline(longAgo) // ends the watcher, which closes it
		h.file = nil
	}
	h.mu.Unlock()
}

// join makes c a member. What its peer has done already is reported at once.
func (h *hangupSet) join(c *Conn, fd int) (member, error) {
	if err := h.retain(); err != nil {
		return member{}, err
	}
	h.mu.Lock()
	var i uint32
	if n := len(h.free); n > 0 {
		i, h.free = h.free[n-1], h.free[:n-1]
	} else {
		i = uint32(len(h.slots))
		h.slots = append(h.slots, slot{})
	}
	s := &h.slots[i]
	s.conn = c
	s.turn++
	m := member{i, s.turn}
	const rdhup = 1<<31 | syscall.EPOLLRDHUP // EPOLLET; ERR and HUP always come with it
	err := syscall.EpollCtl(h.fd, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: rdhup, Fd: int32(m.slot), Pad: int32(m.turn)})
	h.mu.Unlock()
	if err != nil {
		h.forget(m)
		return member{}, os.NewSyscallError("epoll_ctl", err)
	}
	return m, nil
}

// leave ends a membership. The descriptor is still open.
func (h *hangupSet) leave(m member, fd int) {
	h.mu.Lock()
	_ = syscall.EpollCtl(h.fd, syscall.EPOLL_CTL_DEL, fd, nil) // events that are under way find an empty slot
	h.mu.Unlock()
	h.forget(m)
}

func (h *hangupSet) forget(m member) {
	h.mu.Lock()
	h.slots[m.slot].conn = nil
	h.free = append(h.free, m.slot)
	h.mu.Unlock()
	h.release()
}

// find returns the connection that an event is for, or nil if it has left.
func (h *hangupSet) find(m member) *Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.slots[m.slot]; s.turn == m.turn {
		return s.conn
	}
	return nil
}

// watch hands events to connections until the last user is gone, and closes f.
func watch(f *os.File) {
	defer f.Close()
	rc, err := f.SyscallConn()
	if err != nil {
		return
	}
	var evs [64]syscall.EpollEvent
	_ = rc.Read(func(fd uintptr) bool { // until the deadline of the last release
		for {
			n, err := syscall.EpollWait(int(fd), evs[:], 0)
			if err == syscall.EINTR {
				continue
			}
			for _, e := range evs[:max(n, 0)] {
				if c := hangups.find(member{uint32(e.Fd), uint32(e.Pad)}); c != nil {
					c.hear(heard(e.Events))
				}
			}
			if n < len(evs) {
				return false
			}
		}
	})
}

// heard returns what an event or poll(2) says, as their bits are the same.
func heard(bits uint32) events {
	switch {
	case bits&(syscall.EPOLLHUP|syscall.EPOLLERR) != 0:
		return finished | broken
	case bits&syscall.EPOLLRDHUP != 0:
		return finished
	}
	return 0
}

// hear takes an event: whoever is parked reads on, and finds out what it was. The
// kernel reports the same again whenever something happens to the socket.
func (c *Conn) hear(e events) {
	c.mu.Lock()
	news := e &^ c.heard
	c.heard |= e
	c.stir(ended)
	gone := c.gone
	if c.closed {
		gone = nil
	}
	c.mu.Unlock()
	if news != 0 && gone != nil {
		gone(e&broken != 0)
	}
}

// join makes the connection a member, once. Without it, for lack of memory, a
// client that half-closes waits until its time is over. c.mu is held.
func (c *Conn) join() (err error) {
	if c.state.Or(joined)&joined != 0 {
		return nil
	}
	if failed := c.withFD(func(fd int) { c.member, err = hangups.join(c, fd) }); failed != nil {
		return failed
	}
	return err
}

// Watch implements transport.Watcher.
func (c *Conn) Watch(gone func(reset bool)) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.fault("watch", net.ErrClosed)
	}
	c.gone = gone
	err := c.join()
	_ = c.withFD(func(fd int) { c.heard |= hangup(fd) }) // of which the watcher may not know yet
	e := c.heard
	c.mu.Unlock()
	if e != 0 && gone != nil {
		gone(e&broken != 0)
	}
	return c.fault("watch", err)
}
