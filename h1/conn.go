package h1

import "bytes"

// ServerConn is the server's side of one HTTP/1.x connection, without the
// connection: requests come in as bytes through Next, responses go out as bytes
// through Begin and the Append methods, and all input and output is the
// caller's. The zero value is ready for use with the strict default limits.
//
// A ServerConn is not safe for concurrent use.
type ServerConn struct{ conn }

// conn is what both roles will share: how far each side has come, and the
// reading and writing of message bodies.
type conn struct {
	cfg   Config  // resolved
	given *Config // what cfg was resolved from

	recv, send State
	keepAlive  bool // this exchange lets the connection persist
	lastOne    bool // the next head we write says close
	eof        bool // CloseInput: nothing follows the input offered
	unread     bool // closed before the peer's message ended
	expecting  bool // the client waits for 100 or a final response

	base int64 // bytes consumed since Reset
	err  Error // the peer's fault, once there is one
	slip Error // the last local error

	// Receiving.
	scanner
	blanks    uint8 // empty lines skipped before the head
	head      Head
	trailer   Head
	remaining int64 // content bytes left in the body, or in the chunk
	received  int64 // content bytes announced by chunks so far
	chunk     chunkReader

	// Sending.
	out outBody
}

// Reset makes s ready for a new connection and keeps its field tables. A nil cfg
// means the strict defaults.
func (s *ServerConn) Reset(cfg *Config) {
	c := &s.conn
	fields, trailers := c.head.fields[:0], c.trailer.fields[:0]
	limits, given := c.cfg, c.given
	switch {
	case cfg == nil:
		limits = strict
	case cfg != given || c.recv == illegal:
		limits = cfg.resolved()
	}
	*c = conn{cfg: limits, given: cfg}
	c.head.fields, c.trailer.fields = fields, trailers
	c.ready()
}

// ready makes the zero value what Reset(nil) would have made it.
func (c *conn) ready() {
	if c.recv == illegal {
		if c.given == nil {
			c.cfg = strict
		}
		c.recv, c.send, c.keepAlive = Idle, Idle, true
	}
}

// Next returns the next event in the input and how many bytes of in it consumed.
// in starts with the first byte not yet consumed. The connection keeps nothing of
// it: after EventNeedData call again with in[n:] and at least one more byte, in
// the same memory or elsewhere, or after CloseInput. A head or a trailer section
// is consumed whole, so the caller's buffer must hold Config.MaxHead+1 bytes;
// everything else is consumed as it comes.
//
// Event.Data aliases in and is valid until the caller reuses those bytes. So are
// the views that Request and Trailer return.
//
// An error is the peer's fault and final: it is an *Error with Remote set, and
// every later call returns it again. One response may still be written, for which
// AppendErrorResponse is made.
func (s *ServerConn) Next(in []byte) (ev Event, n int, err error) {
	c := &s.conn
	switch c.recv {
	case illegal, Idle:
		ev, n, err = s.readHead(in)
	case Body:
		ev, n, err = c.readBody(in)
	case Done:
		return Event{Kind: EventPaused}, 0, nil
	case Failed:
		return Event{}, 0, &c.err
	case Switched:
		return Event{Kind: EventSwitched}, 0, nil
	default:
		return Event{Kind: EventClosed}, 0, nil
	}
	c.base += int64(n)
	if ev.Kind == EventNeedData && err == nil && c.eof {
		return c.atEOF(n, len(in)-n)
	}
	return ev, n, err
}

// CloseInput tells the connection that the peer sends nothing after the input
// that has been offered. Between messages that is a clean end; inside one, Next
// reports ErrUnexpectedEOF, never EventEnd.
func (c *conn) CloseInput() { c.eof = true }

func (c *conn) atEOF(n, left int) (Event, int, error) {
	if c.recv == Idle && left == 0 {
		move(&c.recv, onClose)
		move(&c.send, onClose)
		return Event{Kind: EventClosed}, n, nil
	}
	_, _, err := c.fail(ErrUnexpectedEOF, left)
	return Event{}, n, err
}

// Request returns the head of the current request, from EventRequest on, and is
// valid as long as Head says. Before that the head is empty.
func (s *ServerConn) Request() *Head {
	if s.head.raw == nil {
		return &noHead
	}
	return &s.head
}

// Trailer returns the trailer section of the current message, from its EventEnd
// on. It has no lines before that, or if there is none.
func (c *conn) Trailer() *Head {
	if c.trailer.raw == nil {
		return &noHead
	}
	return &c.trailer
}

// WantsContinue reports whether the client waits for an interim response before
// it sends the content: send 100 with AppendInfo, or a final response at once
// (RFC 9110 10.1.1).
func (s *ServerConn) WantsContinue() bool { return s.expecting && s.recv == Body && s.send == Idle }

// State returns how far the client has come with its request and the server with
// its response.
func (s *ServerConn) State() (client, server State) { return s.recv, s.send }

// Fail tells the connection that bytes it produced were not delivered, or that a
// message cannot be finished. Nothing can be received or sent after it.
func (c *conn) Fail() {
	c.ready()
	move(&c.recv, onFault)
	move(&c.send, onFault)
	if c.err.Code == 0 {
		c.err = Error{Code: ErrState}
	}
}

// readHead reads a request-line and its header section (RFC 9112 2.1). Up to two
// empty lines before it are skipped, since old clients send one after a body.
func (s *ServerConn) readHead(in []byte) (Event, int, error) {
	c := &s.conn
	c.ready()
	skip := 0
	for c.scan == 0 && c.blanks < 2 && len(in) >= skip+2 && in[skip] == '\r' && in[skip+1] == '\n' {
		skip += 2
		c.blanks++
	}
	c.begun = len(in) > skip && (c.blanks == 2 || len(in) > skip+1 || in[skip] != '\r') // that may be a blank line yet
	c.base += int64(skip)
	n := s.requestHead(in[skip:])
	c.base -= int64(skip)
	switch {
	case c.err.Code != 0:
		return Event{}, skip, &c.err
	case n < 0:
		return Event{}, skip, nil
	}
	s.beginRequest(in[skip : skip+n : skip+n])
	return Event{Kind: EventRequest}, skip + n, nil
}

// requestHead returns the length of the head that in starts with, or -1 if it is
// incomplete or bad.
func (s *ServerConn) requestHead(in []byte) int {
	c, h := &s.conn, &s.head
	if c.line == 0 {
		h.reset()
		n := 0
		if c.scan == 0 {
			n = c.fastRequestLine(h, in)
		}
		if n == 0 {
			n = s.firstLine(h, in)
		}
		if n < 0 {
			return -1
		}
		c.line, c.scan = n, n
	}
	n := c.section(h, in, c.cfg.MaxHead, c.cfg.MaxFields, ErrHeadTooLarge)
	if n < 0 {
		return -1
	}
	h.raw = in[:n:n]
	if c.requestRules(h, n-2) < 0 {
		h.raw = nil
		return -1
	}
	return n
}

// firstLine reads the request-line with all care, and returns its length with its
// CRLF, or -1 if it is incomplete or bad.
func (s *ServerConn) firstLine(h *Head, in []byte) int {
	c := &s.conn
	bound, over := maxMethod+1+c.cfg.MaxTarget+1+len("HTTP/1.1"), ErrTargetTooLong
	if c.cfg.MaxHead < bound {
		bound, over = c.cfg.MaxHead, ErrHeadTooLarge
	}
	end := c.endOfLine(in, bound, over)
	if end < 0 {
		if c.err.Code == ErrTargetTooLong && bytes.IndexByte(in[:maxMethod+1], ' ') < 0 {
			c.err.Code, c.err.Status = ErrMethodTooLong, ErrMethodTooLong.Status()
		}
		return -1
	}
	if c.requestLine(h, in, end) < 0 {
		return -1
	}
	return end + 2
}

// beginRequest takes up a complete request head.
func (s *ServerConn) beginRequest(raw []byte) {
	c, h := &s.conn, &s.head
	h.raw = raw
	c.trailer.reset()
	c.keepAlive = h.KeepAlive()
	c.remaining = max(h.length, 0)
	c.expecting = h.line.version == HTTP11 && !h.NoBody() && h.HasToken(FieldExpect, "100-continue")
	move(&c.recv, onHead)
}

// readBody returns the next piece of content.
func (c *conn) readBody(in []byte) (ev Event, n int, err error) {
	if c.head.framing == FramingChunked {
		ev, n, err = c.readChunked(in)
	} else if c.remaining == 0 {
		return c.endMessage(), 0, nil
	} else if n = int(min(int64(len(in)), c.remaining)); n > 0 {
		c.remaining -= int64(n)
		ev = Event{EventData, in[:n:n]}
	}
	if n > 0 {
		c.expecting = false
	}
	return ev, n, err
}

// BodyRemaining returns how many bytes of content are certain to come next without
// framing between them, and whether the content ends with them. A transport may
// move that many past the connection, straight to where they belong, and then call
// SkipBody.
func (c *conn) BodyRemaining() (n int64, last bool) {
	switch {
	case c.recv != Body:
		return 0, false
	case c.head.framing != FramingChunked:
		return c.remaining, true
	}
	return c.remaining, false
}

// SkipBody tells the connection that the next n bytes of content were read by
// someone else. It fails with ErrState outside a body and with ErrBodyOverrun
// beyond BodyRemaining.
func (c *conn) SkipBody(n int64) error {
	switch {
	case c.recv != Body:
		return c.misuse(ErrState)
	case n < 0 || n > c.remaining:
		return c.misuse(ErrBodyOverrun)
	case n == 0:
		return nil
	}
	c.remaining -= n
	c.base += n
	c.expecting = false
	if c.head.framing == FramingChunked && c.remaining == 0 {
		c.chunk.state = chunkDataCR
	}
	return nil
}

func (c *conn) endMessage() Event {
	move(&c.recv, onEnd)
	c.settle()
	return Event{Kind: EventEnd}
}

// nextMessage forgets what belongs to one exchange.
func (c *conn) nextMessage() {
	c.keepAlive, c.expecting = true, false
	c.scanner, c.blanks = scanner{}, 0
	c.chunk, c.received = chunkReader{}, 0
}

// fault records the peer's fault at offset at from the first unconsumed byte,
// and returns -1, which callers pass on.
func (c *conn) fault(code Code, at int) int {
	c.err = Error{Code: code, Status: code.Status(), Offset: c.base + int64(at), Remote: true}
	move(&c.recv, onFault)
	return -1
}

// fail is fault for what is consumed as it comes: the bytes before at are.
func (c *conn) fail(code Code, at int) (Event, int, error) {
	c.fault(code, at)
	return Event{}, at, &c.err
}

// misuse is the caller's fault: it changes nothing but the error's storage.
func (c *conn) misuse(code Code) error {
	c.slip = Error{Code: code}
	return &c.slip
}
