package transport_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/transport"
)

// A script is a listener whose accepts are written down beforehand: nil is a
// connection, anything else an error. At the end it waits for Close.
type script struct {
	steps  []error
	at     []time.Time // when each accept began
	closed chan struct{}
}

func newScript(steps ...error) *script {
	return &script{steps: steps, closed: make(chan struct{})}
}

func (s *script) Accept() (net.Conn, error) {
	s.at = append(s.at, time.Now())
	if len(s.steps) == 0 {
		<-s.closed
		return nil, net.ErrClosed
	}
	err := s.steps[0]
	s.steps = s.steps[1:]
	if err != nil {
		return nil, err
	}
	conn, _ := net.Pipe()
	return conn, nil
}

func (s *script) Close() error   { close(s.closed); return nil }
func (s *script) Addr() net.Addr { return &net.UnixAddr{Name: "script", Net: "unix"} }

// failed is an accept error as package net wraps it.
func failed(errno syscall.Errno) error {
	return &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", errno)}
}

func TestAcceptOutlastsErrorsThatPass(t *testing.T) {
	for _, errno := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED, syscall.ENOBUFS,
		syscall.ENOMEM, syscall.EPROTO, syscall.ENETDOWN, syscall.EPERM,
	} {
		t.Run(errno.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := transport.NewListener(newScript(failed(errno), failed(errno), nil))
				defer ln.Close()
				conn, err := ln.Accept()
				if err != nil {
					t.Fatalf("Accept after two failures: %v, want a connection", err)
				}
				conn.Close()
				if got := ln.AcceptErrors(); got != 2 {
					t.Errorf("AcceptErrors() = %d, want 2", got)
				}
			})
		})
	}
}

func TestAcceptWaitDoublesToOneSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps []error
		for range 10 {
			steps = append(steps, failed(syscall.EMFILE))
		}
		inner := newScript(append(steps, nil, failed(syscall.EMFILE), nil)...)
		ln := transport.NewListener(inner)
		defer ln.Close()
		for range 2 {
			if _, err := ln.Accept(); err != nil {
				t.Fatal(err)
			}
		}
		var waits []time.Duration
		for i := range inner.at[1:] {
			waits = append(waits, inner.at[i+1].Sub(inner.at[i]))
		}
		got := fmt.Sprint(waits)
		// The zero is the second Accept call; a success has set the wait back.
		want := "[5ms 10ms 20ms 40ms 80ms 160ms 320ms 640ms 1s 1s 0s 5ms]"
		if got != want {
			t.Errorf("waits between accepts:\n got %s\nwant %s", got, want)
		}
	})
}

func TestCloseEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps []error
		for range 9 { // the ninth wait is a whole second
			steps = append(steps, failed(syscall.EMFILE))
		}
		ln := transport.NewListener(newScript(steps...))
		result := make(chan error)
		go func() {
			_, err := ln.Accept()
			result <- err
		}()
		time.Sleep(1500 * time.Millisecond) // into that wait, which began at 1275 ms
		synctest.Wait()
		closed := time.Now()
		ln.Close()
		if err := <-result; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept ended by Close: %v, want net.ErrClosed", err)
		}
		if late := time.Since(closed); late != 0 {
			t.Errorf("Accept returned %v after Close, want at once", late)
		}
	})
}

func TestAcceptReturnsWhatDoesNotPass(t *testing.T) {
	for _, want := range []error{
		net.ErrClosed, os.ErrDeadlineExceeded, failed(syscall.EBADF), failed(syscall.EINVAL),
		failed(syscall.ENOTSOCK), errors.New("no word on whether it passes"),
	} {
		ln := transport.NewListener(newScript(want, nil))
		if _, err := ln.Accept(); err != want {
			t.Errorf("Accept: %v, want the inner listener's %v", err, want)
		}
		if got := ln.AcceptErrors(); got != 0 {
			t.Errorf("%v: AcceptErrors() = %d, want 0: it was not tried again", want, got)
		}
	}
}

// passing is an error of no system that says of itself that it will pass.
type passing struct{}

func (passing) Error() string   { return "busy" }
func (passing) Temporary() bool { return true }

func TestAcceptBelievesTemporary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := transport.NewListener(newScript(fmt.Errorf("accept: %w", passing{}), nil))
		defer ln.Close()
		if _, err := ln.Accept(); err != nil || ln.AcceptErrors() != 1 {
			t.Errorf("Accept: %v with %d errors counted, want a connection and 1", err, ln.AcceptErrors())
		}
	})
}

func TestEachAcceptWaitsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := newScript(failed(syscall.EMFILE))
		ln := transport.NewListener(failing)
		results := make(chan error)
		accept := func() {
			_, err := ln.Accept()
			results <- err
		}
		go accept()
		synctest.Wait() // the first now waits 5 ms
		go accept()
		synctest.Wait()
		if len(failing.at) != 2 {
			t.Errorf("%d accepts reached the listener, want 2: the second must not wait for the first", len(failing.at))
		}
		ln.Close()
		for range 2 {
			if err := <-results; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept: %v, want net.ErrClosed", err)
			}
		}
	})
}

// A deadline ends Accept; a listener without deadlines says so.
func TestSetDeadline(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := transport.NewListener(inner)
	defer l.Close()
	if err := l.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Accept: %v, want %v", err, os.ErrDeadlineExceeded)
	}
	if err := transport.NewListener(struct{ net.Listener }{inner}).SetDeadline(time.Time{}); !errors.Is(err, os.ErrNoDeadline) {
		t.Errorf("SetDeadline: %v, want %v", err, os.ErrNoDeadline)
	}
}
