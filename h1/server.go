package h1

import "bytes"

// ServerConn is the server's side of one HTTP/1.x connection, without the
// connection: requests come in as bytes through Next, responses go out as bytes
// through Begin and the Append methods, and all input and output is the
// caller's. The zero value is ready for use with the strict default limits.
//
// Once a complete response has said close, nothing more of the request is read.
//
// A ServerConn is not safe for concurrent use.
type ServerConn struct{ conn }

// Reset makes s ready for a new connection and keeps its field tables. A nil cfg
// means the strict defaults.
func (s *ServerConn) Reset(cfg *Config) { s.reset(cfg) }

// Request returns the head of the current request, from EventRequest on, and is
// valid as long as Head says. Before that the head is empty.
func (s *ServerConn) Request() *Head { return s.message() }

// WantsContinue reports whether the client waits for an interim response before
// it sends the content: send 100 with AppendInfo, or a final response at once
// (RFC 9110 10.1.1).
func (s *ServerConn) WantsContinue() bool { return s.expecting && s.recv == Body && s.send == Idle }

// State returns how far the client has come with its request and the server with
// its response.
func (s *ServerConn) State() (client, server State) {
	s.ready()
	return s.recv, s.send
}

// requestHead returns the length of the head that in starts with, or -1 if it is
// incomplete or bad.
func (c *conn) requestHead(in []byte) int {
	h := &c.head
	if c.line == 0 {
		h.reset()
		n := 0
		if c.scan == 0 {
			n = c.fastRequestLine(h, in)
		}
		if n == 0 {
			n = c.firstLine(h, in)
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
	if c.requestRules(h, c.line) < 0 {
		h.raw = nil
		return -1
	}
	return n
}

// firstLine reads the request-line with all care, and returns its length with its
// CRLF, or -1 if it is incomplete or bad.
func (c *conn) firstLine(h *Head, in []byte) int {
	bound, over := maxMethod+1+c.cfg.MaxTarget+1+len("HTTP/1.1"), ErrTargetTooLong
	if c.cfg.MaxHead < bound {
		bound, over = c.cfg.MaxHead, ErrHeadTooLarge
	}
	end, next := c.endOfLine(in, bound, over, 0)
	if end < 0 {
		if c.err.Code == ErrTargetTooLong && bytes.IndexByte(in[:maxMethod+1], ' ') < 0 {
			c.err.Code, c.err.Status = ErrMethodTooLong, ErrMethodTooLong.Status()
		}
		return -1
	}
	if c.requestLine(h, in, end) < 0 {
		return -1
	}
	return next
}

// beginRequest takes up a complete request head.
func (c *conn) beginRequest() Event {
	h := &c.head
	c.keepAlive = h.KeepAlive() && !(c.cfg.CloseHTTP10 && h.line.version == HTTP10)
	c.remaining = max(h.length, 0)
	c.mustAnswer = h.seen&(1<<FieldExpect) != 0 && h.line.version == HTTP11 && h.HasToken(FieldExpect, "100-continue")
	c.expecting = c.mustAnswer && !h.NoBody()
	if h.OffersUpgrade() { // is answered when the head's bytes may be gone
		c.asked.offers = c.asked.offers[:0]
		for v := range h.Values(FieldUpgrade) {
			c.asked.offers = append(append(c.asked.offers, v...), ',')
		}
	}
	move(&c.recv, onHead)
	return Event{Kind: EventRequest}
}
