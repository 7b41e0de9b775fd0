package server

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// stream is the ResponseWriter of one exchange over HTTP/2. It stands in front of
// net/http's, so that what was written is known, that a client which takes nothing is
// not waited for, and that a handler whose time is over can go on without harm:
// net/http's must not be touched once ServeHTTP has returned.
type stream struct {
	w     http2Writer
	c     *conn
	began time.Time
	last  bool // tell the client to go: Limits.MaxRequests

	own http.Header // the handler's, if it may be late; else nil: that of w

	readOwn, writeOwn atomic.Bool // the exchange has set deadlines itself

	mu      sync.Mutex
	settled bool // the handler was in time: w stays until it returns
	over    bool // w may not be touched any more
	late    bool // for 504 is said on it
	extra   Fields
	status  int
	written int64 // not guarded: writers keep apart

	stall *time.Timer // the next is guarded by mu
	stuck bool        // stall has fired
	tries int         // writes that go on
}

// http2Writer is what net/http's ResponseWriter for HTTP/2 is.
type http2Writer interface {
	http.ResponseWriter
	FlushError() error
	CloseNotify() <-chan bool
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// streamPiece is how many bytes a client has to take for a write to count as progress,
// as over TLS without HTTP/2.
const streamPiece = 16 << 10

// mayBeLate gives the handler a header of its own.
func (st *stream) mayBeLate() { st.own = make(http.Header) }

// settle notes that the handler is in time, unless it is late, and reports which.
func (st *stream) settle() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.settled = !st.late
	return st.settled
}

// drives notes the field lines that a Drive's Response adds, also to a 504.
func (st *stream) drives(extra Fields) {
	st.mu.Lock()
	st.extra = extra
	st.mu.Unlock()
}

// miss makes the handler late, unless it was in time, and reports which.
func (st *stream) miss() (late bool, extra Fields) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.settled {
		st.late, st.over = true, true
	}
	return st.late, st.extra
}

// tooLate returns why nothing can be written if the handler is late.
func (st *stream) tooLate() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.closed()
}

func (st *stream) closed() error {
	switch {
	case st.late:
		return ErrHandlerTimeout
	case st.over:
		return errExchangeEnded
	}
	return nil
}

// end is the end of what was written. net/http still has to send the last of it, up to
// 4 KiB, and waits for the client if need be. A deadline for that could not be taken
// back once it is sent, so there is none.
func (st *stream) end() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.over {
		return
	}
	st.over = true
	if st.own != nil {
		maps.Copy(st.w.Header(), st.own) // trailer fields
	}
}

// Header implements http.ResponseWriter.
func (st *stream) Header() http.Header {
	if st.own != nil {
		return st.own
	}
	return st.w.Header()
}

// WriteHeader implements http.ResponseWriter.
func (st *stream) WriteHeader(status int) { _ = st.begin(status) }

// begin begins the response, if that was not done, or says something before it.
func (st *stream) begin(status int) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := st.closed(); err != nil || st.status != 0 {
		return err
	}
	h := st.w.Header()
	if st.own != nil {
		clear(h)
		maps.Copy(h, st.own)
	}
	if status >= 200 {
		st.settled, st.status = true, status
		if name := st.c.srv.cfg.ServerName; name != "" && h["Server"] == nil {
			h.Set("Server", name)
		}
		if st.last {
			h.Set("Connection", "close") // net/http makes it a GOAWAY
		}
	}
	st.w.WriteHeader(status)
	return nil
}

// Write implements http.ResponseWriter.
func (st *stream) Write(p []byte) (n int, err error) {
	if err := st.begin(200); err != nil {
		return 0, err
	}
	for more := true; more && err == nil; more = n < len(p) {
		var m int
		err = st.progress(func() (err error) {
			m, err = st.w.Write(p[n:min(len(p), n+streamPiece)])
			return err
		})
		n += m
		st.written += int64(m)
	}
	return n, err
}

// WriteString implements io.StringWriter.
func (st *stream) WriteString(s string) (int, error) { return st.Write([]byte(s)) }

// Flush implements http.Flusher.
func (st *stream) Flush() { _ = st.FlushError() }

// FlushError is Flush for http.ResponseController.
func (st *stream) FlushError() error {
	if err := st.begin(200); err != nil {
		return err
	}
	return st.progress(st.w.FlushError)
}

// progress calls write, which may wait until the client allows more, and ends the
// stream after WriteTimeout.
func (st *stream) progress(write func() error) error {
	t := st.c.lst.limits.WriteTimeout
	if t <= 0 || st.writeOwn.Load() {
		return write()
	}
	st.mu.Lock()
	if st.tries++; st.stall == nil {
		st.stall = time.AfterFunc(t, st.stalled)
	} else {
		st.stall.Reset(t)
	}
	st.mu.Unlock()
	err := write()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.tries--; st.tries == 0 {
		st.stall.Stop()
	}
	if st.stuck && err != nil {
		err = fmt.Errorf("server: the client takes nothing: %w", os.ErrDeadlineExceeded)
	}
	return err
}

func (st *stream) stalled() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.tries > 0 && !st.over && !st.stuck && !st.writeOwn.Load() {
		st.stuck = true
		st.c.srv.counts.write.Add(1)
		_ = st.w.SetWriteDeadline(longAgo) // failing, it has ended by itself
	}
}

// SetReadDeadline is for http.ResponseController.
func (st *stream) SetReadDeadline(t time.Time) error {
	st.readOwn.Store(true)
	return st.setDeadline(st.w.SetReadDeadline, t)
}

// SetWriteDeadline is for http.ResponseController.
func (st *stream) SetWriteDeadline(t time.Time) error {
	st.writeOwn.Store(true)
	return st.setDeadline(st.w.SetWriteDeadline, t)
}

func (st *stream) setDeadline(set func(time.Time) error, t time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := st.closed(); err != nil {
		return err
	}
	return set(t)
}

// EnableFullDuplex is for http.ResponseController: HTTP/2 knows nothing else.
func (st *stream) EnableFullDuplex() error { return nil }

// CloseNotify implements http.CloseNotifier, which old handlers ask for unchecked.
func (st *stream) CloseNotify() <-chan bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.over {
		gone := make(chan bool, 1)
		gone <- true
		return gone
	}
	return st.w.CloseNotify()
}
