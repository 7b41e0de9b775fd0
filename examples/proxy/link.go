package main

import (
	"errors"
	"net"
	"os"
	"time"

	"postern/h1"
)

const (
	readSize  = 16 << 10 // bytes of room for a read, at least
	batchSize = 32 << 10 // bytes of output from which on it is written before more is made
)

// link is a connection with its input and its output. One goroutine reads and one
// writes, which may be the same. wait and stop are called with pair.mu held.
type link struct {
	net.Conn
	in      h1.Buffer // belongs to the one that reads
	out     []byte    // belongs to the one that writes
	stopped bool      // nothing more is read
}

// errStopped is the error of reading from a link that was stopped.
var errStopped = errors.New("stopped")

// wait says how long reading may take from now on, also where it waits already; zero
// is for ever.
func (l *link) wait(d time.Duration) error {
	if l.stopped {
		return errStopped
	}
	var until time.Time
	if d > 0 {
		until = time.Now().Add(d)
	}
	return l.SetReadDeadline(until)
}

// stop ends reading, also where it waits.
func (l *link) stop() {
	l.stopped = true
	_ = l.SetReadDeadline(longAgo) // fails only on what is closed
}

var longAgo = time.Unix(1, 0)

// read reads what comes next behind in.
func (l *link) read() error {
	n, err := l.Read(l.in.Free(readSize))
	l.in.Filled(n)
	return err
}

// flush writes out. It gives up when the peer takes nothing for d.
func (l *link) flush(d time.Duration) error {
	err := l.write(l.out, d)
	l.out = l.out[:0]
	return err
}

func (l *link) write(b []byte, d time.Duration) error {
	for len(b) > 0 {
		if err := l.SetWriteDeadline(time.Now().Add(d)); err != nil {
			return err
		}
		n, err := l.Write(b)
		if b = b[n:]; err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
	}
	return nil
}

// closeWrite tells the peer that nothing more comes.
func (l *link) closeWrite() error {
	if half, ok := l.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// reset closes the connection so that the peer cannot take what it has for all.
func (l *link) reset() {
	if r, ok := l.Conn.(interface{ SetLinger(sec int) error }); ok {
		_ = r.SetLinger(0)
	}
	_ = l.Close()
}
