package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
)

// httpBody is a request's body as net/http handlers read it: safe to read and to
// close from several goroutines, also when the exchange is long over.
type httpBody struct {
	r      io.Reader
	length int64  // announced, or -1
	ended  func() // called once, at EOF
	last   bool   // no request can follow

	mu     sync.Mutex // one read at a time
	n      int64      // bytes read
	eof    bool
	failed error
	closed atomic.Bool
}

// Read implements io.Reader.
func (b *httpBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read(p)
}

func (b *httpBody) read(p []byte) (int, error) {
	switch {
	case b.closed.Load():
		return 0, http.ErrBodyReadAfterClose
	case b.eof:
		return 0, io.EOF
	case b.failed != nil:
		return 0, b.failed
	}
	n, err := b.r.Read(p)
	b.n += int64(n)
	if err == nil && b.n == b.length { // tells EOF with the last bytes, as net/http does
		var none [1]byte
		_, err = b.r.Read(none[:])
	}
	switch {
	case err == io.EOF:
		b.eof = true
		b.ended()
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.failed = os.ErrDeadlineExceeded // is a net.Error; set by the handler
		return n, b.failed
	case errors.Is(err, ErrBodyTruncated):
		b.failed = io.ErrUnexpectedEOF
		return n, b.failed
	case err != nil:
		b.failed = err
	}
	return n, err
}

// maxUnreadHTTP is how much net/http reads of a body that the handler has left, in
// bytes.
const maxUnreadHTTP = 256 << 10

// Close implements io.Closer: it waits for a Read that goes on, and reads the rest
// if that is short.
func (b *httpBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	pointless := b.last && b.length >= 0 // in chunks, trailers may come
	if !b.closed.Load() && !b.eof && b.failed == nil && b.length-b.n < maxUnreadHTTP && !pointless {
		_, _ = b.discard() // what is left shows elsewhere
	}
	b.closed.Store(true)
	return nil
}

// discard reads the rest, if it is short, and returns io.EOF if that was all.
func (b *httpBody) discard() (int64, error) {
	return io.CopyN(io.Discard, readerFunc(b.read), maxUnreadHTTP+1)
}

type readerFunc func(p []byte) (int, error)

// Read implements io.Reader.
func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// leave ends a read that another goroutine has begun, when the handler has returned.
func (b *httpBody) leave(x *Exchange) {
	b.closed.Store(true)
	if b.mu.TryLock() {
		b.mu.Unlock()
		return
	}
	_ = x.SetReadDeadline(longAgo) // failing, the read ends by itself: BodyRate
}

// release waits for a read that is going on, and lets no other begin.
func (b *httpBody) release() {
	b.closed.Store(true)
	b.mu.Lock()
	b.r = nil
	b.mu.Unlock()
}

// beforeReply reads what is left of the body before a response is begun, as
// net/http does for clients that send all before they read. It reports whether the
// connection must close since there is too much, or it cannot be read.
func (b *httpBody) beforeReply() (closes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.eof:
		return false
	case b.closed.Load() || b.failed != nil:
		return true
	case b.length-b.n >= maxUnreadHTTP:
		return true
	}
	if _, err := b.discard(); err != io.EOF {
		return true
	}
	b.closed.Store(true)
	return false
}
