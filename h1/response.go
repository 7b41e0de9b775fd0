package h1

import (
	"bytes"
	"strconv"
)

// responseHead returns the length of the head that in starts with, or -1 if it is
// incomplete or bad.
func (c *conn) responseHead(in []byte) int {
	h := &c.head
	if c.line == 0 {
		h.reset()
		end, next := c.endOfLine(in, c.cfg.MaxHead, ErrHeadTooLarge, c.may&bareLF)
		switch {
		case end < 0:
			return -1
		case next > c.cfg.MaxHead:
			return c.fault(ErrHeadTooLarge, c.cfg.MaxHead)
		case c.statusLine(h, in, end) < 0:
			return -1
		}
		c.line, c.scan = next, next
	}
	n := c.section(h, in, c.cfg.MaxHead, c.cfg.MaxFields, ErrHeadTooLarge)
	if n < 0 {
		return -1
	}
	h.raw = in[:n:n]
	if c.responseRules(h) < 0 {
		h.raw = nil
		return -1
	}
	return n
}

// statusLine parses in[:end], HTTP-version SP status-code SP [reason-phrase] (RFC
// 9112 4), into h. The SP before an empty reason may be missing, since it often is.
func (c *conn) statusLine(h *Head, in []byte, end int) int {
	stop := bytes.IndexByte(in[:end], ' ')
	if stop < 0 {
		stop = end
	}
	if c.version(h, in, 0, stop) < 0 {
		return -1
	}
	status := 0
	for i := stop + 1; i < stop+4; i++ {
		if i >= end || !is(in[i], digit) {
			return c.fault(ErrStatusLine, min(i, end))
		}
		status = status*10 + int(in[i]-'0')
	}
	reason := stop + 4
	switch {
	case status < 100:
		return c.fault(ErrStatusLine, stop+1)
	case reason < end && in[reason] != ' ':
		return c.fault(ErrStatusLine, reason)
	case reason < end:
		reason++
	}
	h.line.status = uint16(status)
	h.line.targetOff, h.line.targetLen = uint32(reason), uint32(end-reason)
	return 0
}

// beginResponse takes up a complete response head.
func (c *conn) beginResponse() Event {
	h, status, asked := &c.head, c.head.Status(), c.asked.oldest()
	c.old = h.line.version == HTTP10
	if c.asked.len() == 1 && (status == 100 || status >= 200) {
		c.expecting = false
	}
	switch {
	case status == 101 || asked.tunnels(status):
		c.asked.pop()
		move(&c.recv, onSwitch)
		c.settle()
		return Event{Kind: EventResponse}
	case status < 200:
		c.asked.infos++
		c.scanner, c.blanks = scanner{}, 0
		return Event{Kind: EventInfo}
	}
	c.keepAlive = c.keepAlive && h.KeepAlive() && h.framing != FramingClose && asked&saidClose == 0
	c.remaining, c.received = 0, 0
	if h.framing == FramingLength {
		c.remaining = h.length
	}
	move(&c.recv, onHead)
	return Event{Kind: EventResponse}
}

// tunnels reports whether a final status answers CONNECT with a tunnel.
func (f facts) tunnels(status int) bool {
	return f&askedTunnel != 0 && 200 <= status && status < 300
}

// Begin starts a response head: an interim one for a status of 100 to 199, else
// the final one. The head is appended to dst; see HeadWriter.End.
//
// A final response may be begun as soon as the request's head is in. While a head
// has begun and is incomplete, a final response gives up on it, as 408 does, and
// after a remote error it is the connection's last.
func (s *ServerConn) Begin(dst []byte, status int) HeadWriter {
	w := HeadWriter{c: &s.conn, kind: responseHead, dst: dst, start: len(dst), status: status, length: -1}
	w.err = s.mayRespond(status) // 0 too is an error: a status that is none
	if w.err == 0 {
		reason := "OK"
		if status != 200 {
			reason = StatusText(status)
		}
		w.dst = appendStatusLine(dst, status, reason)
		w.fields = len(w.dst)
	}
	return w
}

// mayRespond returns the rule that a response head with this status would break
// now, or 0.
func (c *conn) mayRespond(status int) Code {
	switch {
	case status < 100 || status > 999:
		return ErrStatus
	case status == 101:
		return c.maySwitch()
	case c.send != Idle || c.recv == Closed || c.recv == Idle && !c.begun:
		return ErrState
	case status >= 200:
		if c.tunnels(status) && c.recv != Done {
			return ErrState // the tunnel begins behind the request
		}
		return 0
	case !c.reading():
		return ErrState
	case c.head.line.version != HTTP11:
		return ErrEarlyInfo
	}
	return 0
}

// tunnels reports whether a final status answers CONNECT with a tunnel.
func (c *conn) tunnels(status int) bool {
	return c.reading() && c.head.line.method == MethodConnect && 200 <= status && status < 300
}

// reading reports whether there is a request that has not failed.
func (c *conn) reading() bool { return c.recv == Body || c.recv == Done }

// endResponse ends a response head: it chooses the framing, appends the fields
// that tell it and the connection's future, and moves the state on.
func (c *conn) endResponse(w *HeadWriter) Code {
	if w.status == 101 || c.tunnels(w.status) {
		return c.endSwitch(w)
	}
	if w.status == 426 && w.upgrades == 0 {
		return ErrUpgrade
	}
	if w.status < 200 {
		if w.length >= 0 || w.has != 0 || w.options&connClose != 0 {
			return ErrFraming // close is the final response's to say (RFC 9112 9.6)
		}
		w.nameUpgrade()
		w.dst = append(w.dst, "\r\n"...)
		if w.status == 100 {
			c.expecting, c.mustAnswer = false, false
		}
		return 0
	}
	h := &c.head
	persist := c.keepAlive && !c.lastOne && !(c.expecting && c.recv == Body) && c.reading() &&
		w.has&wantClose == 0 && w.options&connClose == 0
	kind := outLength
	switch {
	case noContent(w.status):
		if w.has&hasChunked != 0 || w.length >= 0 && w.status != 304 {
			return ErrFraming
		}
		kind = outNone
	case w.status == 205: // has no content, and says so (RFC 9110 15.3.6)
		if w.has&hasChunked != 0 || w.length > 0 {
			return ErrFraming
		}
		w.length = 0
	case w.length >= 0:
		if w.has&hasChunked != 0 {
			return ErrFraming
		}
	case h.line.version == HTTP11 && c.reading():
		kind = outChunked
	case w.has&hasChunked != 0: // to a peer that may not know it (RFC 9112 6.1)
		return ErrFraming
	default:
		kind, persist = outClose, false
	}
	w.framing(kind)
	w.nameUpgrade()
	switch {
	case !persist && w.options&connClose == 0:
		w.connection("close")
	case persist && h.line.version == HTTP10 && w.options&connKeepAlive == 0:
		w.connection("keep-alive")
	}
	w.dst = append(w.dst, "\r\n"...)

	if h.line.method == MethodHead && kind != outNone {
		kind = outDiscard
	}
	c.out = outBody{kind: kind, left: w.length}
	c.keepAlive, c.expecting = persist, false
	if c.recv == Idle {
		c.err = Error{Code: ErrState}
		move(&c.recv, onFault)
	}
	move(&c.send, onHead)
	return 0
}

// AppendInfo appends an interim response without fields, such as 100 (RFC 9110
// 15.2). The client must speak HTTP/1.1.
func (s *ServerConn) AppendInfo(dst []byte, status int) ([]byte, error) {
	if status >= 200 || status == 101 {
		return dst, s.misuse(ErrStatus)
	}
	w := s.Begin(dst, status)
	return w.End()
}

// AppendResponse appends a whole final response: head, body and end. An empty
// contentType is left out. For a status that has no content body must be empty;
// to a HEAD request its length is told and its bytes are not sent. 2xx to CONNECT,
// which has neither end nor length, is written with Begin.
func (s *ServerConn) AppendResponse(dst []byte, status int, contentType string, body []byte) ([]byte, error) {
	w := s.Begin(dst, status)
	if contentType != "" {
		w.Known(FieldContentType, contentType)
	}
	return s.appendWhole(&w, body)
}

// appendWhole ends the head of a final response and appends its body.
func (s *ServerConn) appendWhole(w *HeadWriter, body []byte) ([]byte, error) {
	switch {
	case w.status < 200 || s.tunnels(w.status):
		w.err = ErrStatus
	case !noContent(w.status):
		w.Length(int64(len(body)))
	case len(body) > 0:
		w.err = ErrNoContent
	}
	out, err := w.End()
	if err == nil && len(body) > 0 {
		out, err = s.AppendData(out, body)
	}
	if err == nil {
		out, err = s.AppendEnd(out)
	}
	return out, err
}

// AppendErrorResponse appends the one response that may follow a remote error: the
// status that the error suggests, its text as text/plain, and close. Any other
// error gives 500 and close. It fails with ErrState if a response has begun.
func (s *ServerConn) AppendErrorResponse(dst []byte, err error) ([]byte, error) {
	status, text := 500, StatusText(500)
	if e, ok := err.(*Error); ok && e.Remote {
		status, text = e.Status, codes[e.Code].text
	}
	w := s.Begin(dst, status)
	w.Close()
	w.Known(FieldContentType, "text/plain; charset=utf-8")
	w.Length(int64(len(text) + 1))
	out, err := w.End()
	if err != nil {
		return out, err
	}
	if s.out.kind != outDiscard {
		out = append(append(out, text...), '\n')
	}
	s.out.left = 0
	return s.AppendEnd(out)
}

// noContent reports whether a response with this status ends at its blank line
// (RFC 9112 6.3).
func noContent(status int) bool { return status < 200 || status == 204 || status == 304 }

func appendStatusLine(dst []byte, status int, reason string) []byte {
	if status == 200 && reason == "OK" {
		return append(dst, "HTTP/1.1 200 OK\r\n"...)
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ') // stands even before an empty reason (RFC 9112 4)
	dst = append(dst, reason...)
	return append(dst, "\r\n"...)
}
