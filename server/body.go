package server

import (
	"errors"
	"fmt"
	"io"
)

// requestBody is a request's content: what was in the buffer when the handler was
// called, and a reader for what is still to come.
type requestBody struct {
	ready  []byte    // read, decoded, and not yet delivered
	more   io.Reader // the rest; nil if ready is all
	seen   int64     // bytes delivered
	done   bool      // nothing is to come but ready
	failed error     // sticks
}

// Body returns the content as a stream. Reading it blocks until the client has
// sent more, makes the client send if it waits for 100 (RFC 9110 10.1.1), and
// fails with an *Error: 413 past the limit, 408 if the client is too slow, 400 if
// the content is malformed or breaks off.
func (r *Request) Body() io.Reader { return (*content)(r) }

// SetMaxBody changes the limit on this request's body, in bytes; negative means
// none. It counts from the body's start and holds for reads that follow.
func (r *Request) SetMaxBody(n int64) {
	if n < 0 {
		n = 1<<63 - 1
	}
	r.maxBody = n
}

// ReadAll returns the whole content. If it came together with the head, which is
// common for small requests, the result aliases the connection's buffer: it is
// valid as long as the Request. Errors are those of Body.
func (r *Request) ReadAll() ([]byte, error) {
	b := &r.body
	if err := r.admit(); err != nil {
		return nil, err
	}
	if b.done {
		all := b.ready
		b.ready, b.seen = nil, b.seen+int64(len(all))
		return all, nil
	}
	left := r.ContentLength() - b.seen + 1 // one more, so that EOF is seen without growing
	if left <= 0 {
		left = 1<<63 - 1 // nobody has said
	}
	// What was announced may never come: the room doubles with what has.
	all := make([]byte, 0, min(left, inputSize))
	for {
		n, err := r.Body().Read(all[len(all):cap(all)])
		all = all[:len(all)+n]
		left -= int64(n)
		switch {
		case err == io.EOF:
			return all, nil
		case err != nil:
			return nil, err
		case len(all) == cap(all):
			larger := make([]byte, len(all), int64(len(all))+max(min(int64(len(all)), left), 1))
			copy(larger, all)
			all = larger
		}
	}
}

// admit refuses a body that is announced or known to be over the limit, before
// any of it is read and without asking the client to send it.
func (r *Request) admit() error {
	b := &r.body
	known := b.seen + int64(len(b.ready))
	if !b.done {
		known = max(known, r.ContentLength())
	}
	if b.failed == nil && known > r.maxBody {
		b.failed = tooLarge(r.maxBody)
	}
	return b.failed
}

func tooLarge(limit int64) error {
	return &Error{Status: 413, Err: fmt.Errorf("%w: limit %d bytes", ErrBodyTooLarge, limit)}
}

// content is Request seen as the reader of its body.
type content Request

// Read implements io.Reader.
func (br *content) Read(p []byte) (int, error) {
	r := (*Request)(br)
	if r.conn != nil && r.conn.driven != nil {
		return r.conn.driven.read(r, p)
	}
	if r.conn != nil && r.conn.limit != nil {
		return r.conn.readInTime(p)
	}
	return r.read(p)
}

func (r *Request) read(p []byte) (int, error) {
	b := &r.body
	if err := r.admit(); err != nil || len(p) == 0 {
		return 0, err
	}
	if len(b.ready) > 0 {
		n := copy(p, b.ready)
		b.ready = b.ready[n:]
		b.seen += int64(n)
		return n, nil
	}
	if b.done {
		return 0, io.EOF
	}
	n, err := b.more.Read(p)
	b.seen += int64(n)
	if b.seen > r.maxBody {
		b.failed = tooLarge(r.maxBody)
		return 0, b.failed
	}
	if err != nil {
		if b.done = true; err != io.EOF {
			b.failed = withStatus(err)
			err = b.failed
		}
	}
	return n, err
}

// withStatus gives a status to an error that has none.
func withStatus(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return &Error{Status: 400, Err: fmt.Errorf("%w: %w", ErrBodyTruncated, err)}
}
