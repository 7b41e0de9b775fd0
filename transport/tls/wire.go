package tls

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A wire is the connection as crypto/tls sees it. It makes up for three things
// that crypto/tls does: it writes each record by itself, it takes the end of the
// connection for the end of the stream, and it can write no more once a write has
// timed out, because a record may have gone out in part. So a Conn has it hold
// records back and writes them together; what a deadline leaves of them stays
// here, and crypto/tls never learns of it.
type wire struct {
	net.Conn
	ended   atomic.Bool // reading has come to the end of the connection
	unknown bool        // the client's name was refused

	holding atomic.Bool   // records are held back
	mu      sync.Mutex    // guards held, and keeps writes in order
	held    *bytes.Buffer // records that wait to be written; nil when there are none

	// While pumping nothing is read here but what the connection below has read.
	pumping atomic.Bool
	feed    []byte      // of that, what crypto/tls has not taken
	over    bool        // nothing comes behind feed
	drained atomic.Bool // crypto/tls has seen all that came, and waits for more
}

// buffers are lent to wires that hold something.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxHeld is how many bytes crypto/tls may add on its own account while a write
// is overdue: it answers requests for new keys, of which a client can send many.
const maxHeld = 2 * chunk

// Read notes the end.
func (w *wire) Read(p []byte) (n int, err error) {
	switch {
	case len(w.feed) > 0:
		n = copy(p, w.feed)
		w.feed = w.feed[n:]
	case w.over:
		err = io.EOF
	case w.pumping.Load():
		return 0, comeAgain{}
	default:
		n, err = w.Conn.Read(p)
	}
	w.drained.Store(false)
	if err == io.EOF {
		w.ended.Store(true)
	}
	return n, err
}

// Write writes p, or holds it back: behind what is held already, or if asked to.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.holding.Load():
	case w.held == nil:
		return w.Conn.Write(p)
	case w.held.Len() > maxHeld:
		return 0, os.ErrDeadlineExceeded
	}
	if w.held == nil {
		w.held = buffers.Get().(*bytes.Buffer)
	}
	return w.held.Write(p)
}

// hold makes the following writes wait for flush.
func (w *wire) hold() { w.holding.Store(true) }

// flush writes what is held, and ends the holding. After an error the rest is
// held still.
func (w *wire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holding.Store(false)
	if w.held == nil {
		return nil
	}
	if _, err := w.held.WriteTo(w.Conn); err != nil {
		return err
	}
	buffers.Put(w.held)
	w.held = nil
	return nil
}

// take returns what is held, or nil, and ends the holding. The caller writes it, and
// gives the buffer back.
func (w *wire) take() *bytes.Buffer {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holding.Store(false)
	b := w.held
	w.held = nil
	return b
}

// keep holds p, the rest of what take returned, in front of all that follows.
func (w *wire) keep(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == nil {
		w.held = buffers.Get().(*bytes.Buffer)
	}
	w.held.Write(p)
}

// overdue reports whether a write is under way or was left by a deadline. It does
// not wait.
func (w *wire) overdue() bool {
	if !w.mu.TryLock() {
		return true
	}
	defer w.mu.Unlock()
	return w.held != nil
}

// SetWriteDeadline sets the deadline, except while records are held back: then
// nothing is being written, and crypto/tls wants to limit its close_notify, for
// which Conn has a limit of its own.
func (w *wire) SetWriteDeadline(t time.Time) error {
	if w.holding.Load() {
		return nil
	}
	return w.Conn.SetWriteDeadline(t)
}
