package memory

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A stream carries bytes one way, from its writer to its reader. What either of
// them waits for is a change of these fields, each of which is announced on
// changed. The mutex is never held while waiting, so a synctest bubble sees
// every wait.
type stream struct {
	mu      sync.Mutex
	changed sync.Cond
	buf     bytes.Buffer
	size    int // bytes that buf may hold

	writing  bool  // a write is under way; the next waits for it to end
	end      error // what reads return after the last byte: nil while more may come, io.EOF or ECONNRESET
	readErr  error // net.ErrClosed after the reader closed
	writeErr error // why nothing more is written: net.ErrClosed, or EPIPE after finish or when the reader closed

	readDeadline, writeDeadline deadline
}

func newStream(size int) *stream {
	s := &stream{size: size}
	s.changed.L = &s.mu
	return s
}

// read waits for bytes and moves up to len(p) of them to p.
func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readErr != nil:
			return 0, s.readErr
		case s.readDeadline.passed:
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case s.buf.Len() > 0:
			n, _ := s.buf.Read(p)
			s.changed.Broadcast()
			return n, nil
		case s.end != nil:
			return 0, s.end
		}
		s.changed.Wait()
	}
}

// write moves all of p to the buffer, as room comes up.
func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.writing && s.writeFault() == nil {
		s.changed.Wait()
	}
	if err := s.writeFault(); err != nil {
		return 0, err
	}
	s.writing = true
	defer func() {
		s.writing = false
		s.changed.Broadcast()
	}()
	for {
		if room := s.size - s.buf.Len(); room > 0 {
			k, _ := s.buf.Write(p[n:min(len(p), n+room)])
			n += k
			s.changed.Broadcast()
		}
		if n == len(p) {
			return n, nil
		}
		s.changed.Wait()
		if err := s.writeFault(); err != nil {
			return n, err
		}
	}
}

// writeFault returns why a write cannot go on, nil when it can.
func (s *stream) writeFault() error {
	if s.writeErr == nil && s.writeDeadline.passed {
		return os.ErrDeadlineExceeded
	}
	return s.writeErr
}

// finish is the writer's CloseWrite.
func (s *stream) finish() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr == net.ErrClosed {
		return net.ErrClosed
	}
	if s.writeErr == nil {
		s.end, s.writeErr = io.EOF, syscall.EPIPE
		s.changed.Broadcast()
	}
	return nil
}

// close is the writer's Close. The reader gets end after the last byte.
func (s *stream) close(end error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end, s.writeErr = end, net.ErrClosed
	s.writeDeadline.stop()
	s.changed.Broadcast()
}

// abandon is the reader's Close. It reports whether there were bytes left.
func (s *stream) abandon() (unread bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	unread = s.buf.Len() > 0
	s.buf = bytes.Buffer{}
	s.readErr = net.ErrClosed
	if s.writeErr == nil {
		s.writeErr = syscall.EPIPE
	}
	s.readDeadline.stop()
	s.changed.Broadcast()
	return unread
}

func (s *stream) setReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readErr != nil {
		return s.readErr
	}
	s.readDeadline.set(s, t)
	return nil
}

func (s *stream) setWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr == net.ErrClosed {
		return net.ErrClosed
	}
	s.writeDeadline.set(s, t)
	return nil
}

// A deadline is guarded by the mutex of its stream.
type deadline struct {
	passed bool
	timer  *time.Timer // nil when none is set
}

// set replaces the deadline by t, or by none when t is zero. The stream is
// locked.
func (d *deadline) set(s *stream, t time.Time) {
	d.stop()
	wait := time.Until(t)
	d.passed = !t.IsZero() && wait <= 0
	if !t.IsZero() && wait > 0 {
		var timer *time.Timer
		timer = time.AfterFunc(wait, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if d.timer == timer { // else it was replaced while it fired
				d.passed = true
				s.changed.Broadcast()
			}
		})
		d.timer = timer
	}
	s.changed.Broadcast()
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
