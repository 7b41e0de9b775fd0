package server

import (
	"errors"
	"fmt"
	"io"
)

// StreamWriter is what a Stream body writes to. What is written is collected and
// sent in chunks of StreamLimits.ChunkSize or more; Flush sends it at once. After an
// error every call returns it again. It must not be used once the function that it
// was given to has returned.
type StreamWriter struct {
	conn *conn     // the client, or
	to   io.Writer // anyone else
	buf  []byte    // not yet a chunk
	err  error

	limits   *StreamLimits // nil: none
	guard    *streamGuard  // nil: no time limits
	written  int64
	trailers Fields
}

var errStreamEnded = errors.New("server: the stream has ended")

// chunkSize is how much is collected into a chunk, in bytes.
const chunkSize = 4 << 10

// Write implements io.Writer. p is copied.
func (w *StreamWriter) Write(p []byte) (int, error) {
	if w.err == nil {
		w.err = w.allow(len(p))
	}
	if w.err != nil {
		return 0, w.err
	}
	if w.conn == nil {
		n, err := w.to.Write(p)
		w.err = err
		return n, err
	}
	size := chunkSize
	if w.limits != nil && w.limits.ChunkSize > 0 {
		size = w.limits.ChunkSize
	}
	if len(w.buf)+len(p) > size {
		if w.err = w.drain(); w.err != nil {
			return 0, w.err
		}
	}
	if len(p) >= size {
		w.err = w.conn.writeData(p)
	} else {
		w.buf = append(w.buf, p...)
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// allow counts n bytes, or says which limit does not allow them.
func (w *StreamWriter) allow(n int) error {
	if w.limits == nil {
		return nil
	}
	w.written += int64(n)
	if m := w.limits.MaxBytes; m > 0 && w.written > m {
		return fmt.Errorf("%w: %d bytes", ErrStreamLimit, m)
	}
	return w.guard.alive()
}

// WriteString is Write for a string.
func (w *StreamWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// Flush sends what has been written so far.
func (w *StreamWriter) Flush() error {
	switch f, flushes := w.to.(interface{ FlushError() error }); {
	case w.err != nil:
	case flushes:
		w.err = f.FlushError()
	case w.conn != nil:
		if w.err = w.drain(); w.err == nil {
			w.err = w.conn.flush()
		}
	}
	return w.err
}

// Trailer adds a field line to the trailer section, which is sent when the stream
// has ended. Fields that would come too late there are refused (RFC 9110 6.5.1). The
// Response may announce it in its Trailer field. A client of HTTP/1.0 does not get
// it.
func (w *StreamWriter) Trailer(name, value string) error {
	if w.err != nil {
		return w.err
	}
	if err := checkTrailer(name, value); err != nil {
		return err
	}
	w.trailers = append(w.trailers, Field{name, value})
	return nil
}

// drain makes what has been collected a chunk.
func (w *StreamWriter) drain() error {
	p := w.buf
	w.buf = w.buf[:0]
	return w.conn.writeData(p)
}
