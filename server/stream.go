package server

import (
	"errors"
	"io"
)

// StreamWriter is what a Stream body writes to. What is written is collected and
// sent in chunks of 4 KiB or more; Flush sends it at once. After an error every
// call returns it again. It must not be used once the function that it was given
// to has returned.
type StreamWriter struct {
	conn *conn     // the client, or
	to   io.Writer // anyone else
	buf  []byte    // not yet a chunk
	err  error
}

var errStreamEnded = errors.New("server: the stream has ended")

// chunkSize is how much is collected into a chunk, in bytes.
const chunkSize = 4 << 10

// Write implements io.Writer. p is copied.
func (w *StreamWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.conn == nil {
		return w.to.Write(p)
	}
	if len(w.buf)+len(p) > chunkSize {
		if w.err = w.drain(); w.err != nil {
			return 0, w.err
		}
	}
	if len(p) >= chunkSize {
		w.err = w.conn.writeData(p)
	} else {
		w.buf = append(w.buf, p...)
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
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

// drain makes what has been collected a chunk.
func (w *StreamWriter) drain() error {
	p := w.buf
	w.buf = w.buf[:0]
	return w.conn.writeData(p)
}
