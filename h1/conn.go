package h1

// conn is what both roles share: how far each side has come, and the reading and
// writing of messages. What only one role does asks for the role.
type conn struct {
	cfg    Config  // resolved
	given  *Config // what cfg was resolved from
	client bool    // the role: requests are sent and responses received
	may    leniency

	head    Head
	trailer Head
	asked   questions // client: the requests that wait for their responses
	progress
}

// progress is what Reset forgets whole.
type progress struct {
	recv, send State
	keepAlive  bool // this exchange lets the connection persist
	lastOne    bool // the next head we write says close
	eof        bool // nothing follows the input offered
	broken     bool // and that is no clean end: FailInput
	expecting  bool // the client waits for 100 or a final response
	mustAnswer bool // server: the request asks for 100, and it was not sent
	old        bool // client: the server's last response was HTTP/1.0

	base int64 // bytes consumed since Reset
	err  Error // the peer's fault, once there is one
	slip Error // the last local error

	// Receiving.
	scanner
	blanks    uint8 // empty lines skipped before the head
	remaining int64 // content bytes left in the body, or in the chunk
	received  int64 // content bytes that came so far, or were announced by chunks
	chunk     chunkReader

	// Sending.
	out outBody
}

func (c *conn) reset(cfg *Config) {
	if cfg != c.given || c.may&resolved == 0 {
		c.cfg, c.given = strict, cfg
		if cfg != nil {
			c.cfg = cfg.resolved()
		}
		c.may = c.leniency() | resolved
	}
	c.progress = progress{}
	c.asked.reset()
	c.head.raw, c.trailer.raw = nil, nil // the rest is cleared when it is used again
	c.recv, c.send, c.keepAlive = Idle, Idle, true
}

// ready makes the zero value what Reset(nil) would have made it.
func (c *conn) ready() {
	if c.recv == illegal {
		c.reset(nil)
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
// the views of heads and trailer sections. Bytes of in are only written to where a
// field line is folded, in responses and with Config.FoldRequests.
//
// An error is the peer's fault and final: it is an *Error with Remote set, and
// every later call returns it again. A server may still write one response, for
// which AppendErrorResponse is made; a client closes.
func (c *conn) Next(in []byte) (ev Event, n int, err error) {
	switch c.recv {
	case illegal, Idle:
		ev, n, err = c.readHead(in)
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
	switch {
	case ev.Kind != EventNone || err != nil:
	case c.eof:
		return c.atEOF(n, len(in)-n)
	default:
		ev.Kind = EventNeedData
	}
	return ev, n, err
}

// CloseInput tells the connection that the peer sends nothing after the input
// that has been offered. Between messages that is a clean end, and it is the end
// of content that is delimited by it; inside any other message Next reports
// ErrUnexpectedEOF, never EventEnd.
func (c *conn) CloseInput() { c.eof = true }

// FailInput is CloseInput for an end that proves nothing, such as a reset or TLS
// without close_notify: content that is delimited by it is incomplete (RFC 9112
// 9.8).
func (c *conn) FailInput() { c.eof, c.broken = true, true }

func (c *conn) atEOF(n, left int) (Event, int, error) {
	switch {
	case left > 0 || c.asked.open() && c.recv == Idle:
	case c.recv == Idle:
		move(&c.recv, onClose)
		move(&c.send, onClose)
		return Event{Kind: EventClosed}, n, nil
	case c.head.framing == FramingClose && !c.broken:
		return c.endMessage(), n, nil
	}
	_, _, err := c.fail(ErrUnexpectedEOF, left)
	return Event{}, n, err
}

// Trailer returns the trailer section of the current message, from its EventEnd
// on. It has no lines before that, or if there is none.
func (c *conn) Trailer() *Head {
	if c.trailer.raw == nil {
		return &noHead
	}
	return &c.trailer
}

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

// message returns the head that is being or was last read.
func (c *conn) message() *Head {
	if c.head.raw == nil {
		return &noHead
	}
	return &c.head
}

// readHead reads a start-line and its header section (RFC 9112 2.1). Up to two
// empty lines before it are skipped: old clients send one behind a body, and old
// servers too.
func (c *conn) readHead(in []byte) (ev Event, n int, err error) {
	c.ready()
	if len(in) == 0 {
		c.begun = false
		return Event{}, 0, nil
	}
	skip := 0
	for c.scan == 0 && c.blanks < 2 && len(in) >= skip+2 && in[skip] == '\r' && in[skip+1] == '\n' {
		skip += 2
		c.blanks++
	}
	c.begun = len(in) > skip && (c.blanks == 2 || len(in) > skip+1 || in[skip] != '\r') // that may be a blank line yet
	c.base += int64(skip)
	switch {
	case !c.client:
		n = c.requestHead(in[skip:])
	case c.begun && !c.asked.open():
		n = c.fault(ErrUnsolicited, 0)
	default:
		n = c.responseHead(in[skip:])
	}
	c.base -= int64(skip)
	switch {
	case c.err.Code != 0:
		return Event{}, skip, &c.err
	case n < 0:
		return Event{}, skip, nil
	}
	c.trailer.raw = nil
	if c.client {
		ev = c.beginResponse()
	} else {
		ev = c.beginRequest()
	}
	return ev, skip + n, nil
}

// readBody returns the next piece of content.
func (c *conn) readBody(in []byte) (ev Event, n int, err error) {
	switch framing := c.head.framing; {
	case framing == FramingChunked:
		ev, n, err = c.readChunked(in)
	case framing == FramingClose:
		return c.readToClose(in)
	case c.remaining == 0:
		return c.endMessage(), 0, nil
	default:
		if n = int(min(int64(len(in)), c.remaining)); n > 0 {
			c.remaining -= int64(n)
			ev = Event{Kind: EventData, Data: in[:n:n]}
		}
	}
	if n > 0 {
		c.expecting = false
	}
	return ev, n, err
}

// readToClose reads content that ends with the connection (RFC 9112 6.3).
func (c *conn) readToClose(in []byte) (Event, int, error) {
	n := int(min(int64(len(in)), c.cfg.MaxBody-c.received))
	switch {
	case len(in) == 0:
		return Event{}, 0, nil
	case n == 0:
		return c.fail(ErrBodyTooLarge, 0)
	}
	c.received += int64(n)
	return Event{Kind: EventData, Data: in[:n:n]}, n, nil
}

// BodyRemaining returns how many bytes of content are certain to come next without
// framing between them, and whether the content ends with them. A transport may
// move that many past the connection, straight to where they belong, and then call
// SkipBody.
func (c *conn) BodyRemaining() (n int64, last bool) {
	switch {
	case c.recv != Body:
		return 0, false
	case c.head.framing == FramingChunked || c.head.framing == FramingClose:
		return c.remaining, false
	}
	return c.remaining, true
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

// nextMessage forgets what belongs to one exchange. A client may already wait for
// 100 to the next.
func (c *conn) nextMessage() {
	c.keepAlive, c.expecting = true, c.expecting && c.client
	c.scanner, c.blanks = scanner{}, 0
	c.chunk, c.received = chunkReader{}, 0
}

// fault records the peer's fault at offset at from the first unconsumed byte,
// and returns -1, which callers pass on.
func (c *conn) fault(code Code, at int) int {
	status := code.Status()
	if c.client {
		status = 502 // what a gateway answers whose server did this
	}
	c.err = Error{Code: code, Status: status, Offset: c.base + int64(at), Remote: true}
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
