package h1

// outBody is the content of the message that is being written.
type outBody struct {
	kind    outKind
	started bool  // content was appended
	open    bool  // a chunk was begun and not ended
	left    int64 // bytes that Content-Length still promises; -1: no promise
}

type outKind uint8

const (
	outNone    outKind = iota // the status has no content
	outLength                 // left counts it down
	outChunked                // each append is a chunk
	outClose                  // as it comes, until the connection ends
	outDiscard                // answers HEAD: counted, not sent (RFC 9110 9.3.2)
)

// Sending returns how the content of the message that is being written is
// delimited, and FramingNone if none is sent: in answer to HEAD, and for statuses
// that have none. A message delimited by FramingClose that cannot be finished
// looks complete unless the connection is reset.
func (c *conn) Sending() Framing {
	switch c.out.kind {
	case outLength:
		return FramingLength
	case outChunked:
		return FramingChunked
	case outClose:
		return FramingClose
	}
	return FramingNone
}

// AppendData appends content with its framing: p becomes one chunk, or part of
// what Content-Length announced. p is copied. In the answer to a HEAD request
// nothing is appended. An empty p is no content.
func (c *conn) AppendData(dst, p []byte) ([]byte, error) {
	out, err := c.BeginData(dst, int64(len(p)))
	if err != nil || len(p) == 0 || c.out.kind == outDiscard {
		return out, err
	}
	return c.EndData(append(out, p...))
}

// BeginData announces n bytes of content that the caller appends or writes itself
// before it calls EndData: it appends only their framing. In the answer to a HEAD
// request the bytes are counted and must not be sent.
func (c *conn) BeginData(dst []byte, n int64) ([]byte, error) {
	o := &c.out
	switch {
	case c.send != Body || o.open:
		return dst, c.misuse(ErrState)
	case n == 0:
		return dst, nil
	case o.kind == outNone:
		return dst, c.misuse(ErrNoContent)
	case n < 0 || o.left >= 0 && n > o.left:
		return dst, c.misuse(ErrBodyOverrun)
	}
	o.started = true
	if o.left >= 0 {
		o.left -= n
	}
	if o.kind == outChunked {
		o.open = true
		return appendChunkSize(dst, n), nil
	}
	return dst, nil
}

// EndData appends what stands behind the bytes that BeginData announced.
func (c *conn) EndData(dst []byte) ([]byte, error) {
	if c.send != Body {
		return dst, c.misuse(ErrState)
	}
	if c.out.open {
		c.out.open = false
		dst = append(dst, "\r\n"...)
	}
	return dst, nil
}

// AppendEnd ends the message. If Content-Length announced more content than was
// appended it fails with ErrBodyShort; who cannot deliver the rest calls Fail and
// closes, so that the peer sees a truncated message and no other.
func (c *conn) AppendEnd(dst []byte) ([]byte, error) {
	o := &c.out
	switch {
	case c.send != Body || o.open:
		return dst, c.misuse(ErrState)
	case o.kind == outLength && o.left > 0, o.kind == outDiscard && o.started && o.left > 0:
		return dst, c.misuse(ErrBodyShort)
	case o.kind == outChunked:
		dst = append(dst, "0\r\n\r\n"...)
	}
	move(&c.send, onEnd)
	c.settle()
	return dst, nil
}
