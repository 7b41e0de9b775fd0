//go:build linux

package main

import (
	"fmt"
	"io"
	"math/bits"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sample is what one slice of load measured. Both are 0 if nothing came back.
type sample struct {
	rate float64 // replies a second
	cpu  float64 // of the server, µs a reply
	lost float64 // the part of the time in which others had our processor
}

// loader gives load to targets. It belongs to one goroutine, which is a thread.
type loader struct {
	spin   bool // look for replies without ever sleeping: no server pays for waking us
	events [512]unix.EpollEvent
	in     [256 << 10]byte

	done int // replies in this slice
	last time.Time
}

// drainTime is how long replies may take after the end of a slice.
const drainTime = 2 * time.Second

// slice loads a target for the time and waits for the last replies. Latencies count
// if it is not a rehearsal.
func (l *loader) slice(t *target, pids []int, span time.Duration, rehearsal bool) (sample, error) {
	before, waited := cpuTime(pids), waitTime()
	begin := time.Now()
	end := begin.Add(span)
	l.done, l.last = 0, begin
	due := 0 // requests that the open loop has sent
	if t.w.rate == 0 {
		for _, c := range t.conns {
			if err := t.fire(c, time.Now()); err != nil {
				return sample{}, err
			}
		}
	}
	for now := begin; now.Before(end) || t.inFlight > 0 && now.Before(end.Add(drainTime)); now = time.Now() {
		live := now.Before(end)
		for t.w.rate > 0 && live {
			at := begin.Add(time.Duration(due) * time.Second / time.Duration(t.w.rate))
			c := t.idle()
			if at.After(now) || c == nil {
				break
			}
			if err := t.fire(c, at); err != nil {
				return sample{}, err
			}
			due++
		}
		n, err := l.wait(t.ep)
		if err != nil {
			return sample{}, err
		}
		for _, e := range l.events[:n] {
			if err := l.receive(t, t.conns[e.Fd], live && t.w.rate == 0, rehearsal); err != nil {
				return sample{}, err
			}
		}
	}
	if err := t.giveUp(); err != nil || l.done == 0 {
		return sample{}, err
	}
	return sample{
		rate: float64(l.done) / l.last.Sub(begin).Seconds(),
		cpu:  float64(cpuTime(pids)-before) / 1e3 / float64(l.done),
		lost: float64(waitTime()-waited) / float64(span),
	}, nil
}

// idle returns a connection without requests in flight, each in turn, or nil.
func (t *target) idle() *conn {
	for range t.conns {
		c := t.conns[t.next]
		t.next = (t.next + 1) % len(t.conns)
		if c.inFlight == 0 {
			return c
		}
	}
	return nil
}

// fire sends one burst; at is when it was to be sent, which latencies count from.
func (t *target) fire(c *conn, at time.Time) error {
	c.sent, c.inFlight = at, max(t.w.depth, 1)
	t.inFlight += c.inFlight
	if _, err := c.stream().Write(t.request); err != nil {
		return t.renew(c)
	}
	return nil
}

// renew replaces a connection that failed; what was in flight is lost.
func (t *target) renew(c *conn) error {
	t.errors += max(c.inFlight, 1)
	t.inFlight -= c.inFlight
	return t.again(c)
}

func (t *target) again(c *conn) error {
	unix.Close(c.fd)
	return t.dial(c)
}

// giveUp counts replies that never came, and replaces their connections.
func (t *target) giveUp() error {
	for _, c := range t.conns {
		if c.inFlight > 0 {
			if err := t.renew(c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *loader) wait(ep int) (int, error) {
	if !l.spin {
		n, err := unix.EpollWait(ep, l.events[:], 20)
		if err == unix.EINTR {
			return 0, nil
		}
		return n, err
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), 0, 0, 0)
	if errno == unix.EINTR {
		return 0, nil
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// receive takes what has come, and sends the next request if more is true.
func (l *loader) receive(t *target, c *conn, more, rehearsal bool) error {
	for {
		n, err := c.stream().Read(l.in[:])
		now := time.Now()
		c.got += n
		replies := min(c.got/t.want, c.inFlight)
		c.got -= replies * t.want
		c.inFlight -= replies
		t.inFlight -= replies
		if replies > 0 {
			l.done, l.last = l.done+replies, now
			if !rehearsal {
				t.times.add(now.Sub(c.sent), replies)
			}
		}
		switch {
		case err == errAgain:
			return nil
		case err == io.EOF && c.inFlight == 0 && c.got == 0: // its right: after many requests, or idle
			err = t.again(c)
		case err != nil || c.got > 0 && c.inFlight == 0:
			err = t.renew(c)
		case c.inFlight > 0:
			if c.tls != nil {
				continue // there may be another record in its buffer
			}
			return nil
		case t.w.close:
			now = time.Now()
			err = t.again(c)
		}
		if err != nil {
			return fmt.Errorf("connect again: %w", err)
		}
		if more {
			return t.fire(c, now)
		}
		return nil
	}
}

// histogram counts durations in buckets that are 1/64 wide.
type histogram struct {
	counts [64 * 40]int
	total  int
}

func (h *histogram) add(d time.Duration, n int) {
	v := uint64(max(d, 0))
	b := int(v)
	if v >= 64 {
		e := bits.Len64(v) - 7
		b = min(64*e+int(v>>e), len(h.counts)-1)
	}
	h.counts[b] += n
	h.total += n
}

// quantile returns the duration that a part q of all is not above, in µs.
func (h *histogram) quantile(q float64) float64 {
	seen := 0
	for b, n := range h.counts {
		if seen += n; n > 0 && float64(seen) >= q*float64(h.total) {
			if b < 64 {
				return float64(b) / 1e3
			}
			e := b/64 - 1
			return float64((b-64*e)<<e) / 1e3
		}
	}
	return 0
}
