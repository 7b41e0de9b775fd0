package h1

import "strconv"

// FieldLines are field lines that were checked once, for messages that have them in
// common: appending them costs a copy. The zero value has none. FieldLines are a
// value that never changes, and may be shared by goroutines.
type FieldLines struct {
	text string
	seen uint64
}

// forConnection are the fields by which a message speaks of its connection and its
// framing. They are told anew in each.
const forConnection = 1<<FieldConnection | 1<<FieldContentLength | 1<<FieldTransferEncoding | marked

// With returns l with one more line, as HeadWriter.Field would append it. It fails
// where that would fail, and with ErrFraming for fields that speak of the connection
// or the framing: Connection, Content-Length, Transfer-Encoding, Upgrade, Expect and
// TE.
func (l FieldLines) With(name, value string) (FieldLines, error) {
	w := HeadWriter{kind: responseHead, dst: []byte(l.text), seen: l.seen, length: -1}
	id := fieldOf(name)
	if uint64(1)<<id&^1&forConnection != 0 {
		w.err = ErrFraming
	}
	appendField(&w, id, name, value)
	if w.err != 0 {
		return l, &Error{Code: w.err}
	}
	return FieldLines{string(w.dst), w.seen}, nil
}

// Lines appends lines that were prepared.
func (w *HeadWriter) Lines(l FieldLines) {
	switch {
	case w.err != 0:
	case w.seen&l.seen&once != 0:
		w.err = ErrFieldRepeated
	case w.kind == trailerSection && l.seen&notInTrailers != 0:
		w.err = ErrNotInTrailer
	default:
		w.seen |= l.seen
		w.dst = append(w.dst, l.text...)
	}
}

// AppendFixed is AppendResponse with prepared field lines. Most responses are of
// this kind, and none is cheaper.
func (s *ServerConn) AppendFixed(dst []byte, status int, lines FieldLines, body []byte) ([]byte, error) {
	if status == 200 && s.plain() {
		return append(s.appendPlain(dst, lines, len(body)), body...), nil
	}
	w := s.Begin(dst, status)
	w.Lines(lines)
	return s.appendWhole(&w, body)
}

// AppendFixedString is AppendFixed for a body in a string.
func (s *ServerConn) AppendFixedString(dst []byte, status int, lines FieldLines, body string) ([]byte, error) {
	if status == 200 && s.plain() {
		return append(s.appendPlain(dst, lines, len(body)), body...), nil
	}
	return s.AppendFixed(dst, status, lines, []byte(body))
}

// plain reports whether a final response now says nothing of the connection but
// perhaps close, and ends the exchange.
func (c *conn) plain() bool {
	m := c.head.line.method
	return c.recv == Done && c.send == Idle && c.head.line.version == HTTP11 && m != MethodHead && m != MethodConnect
}

// appendPlain appends the head of the response to a plain exchange, and takes its n
// bytes of content, which follow, for sent.
func (c *conn) appendPlain(dst []byte, lines FieldLines, n int) []byte {
	dst = append(dst, "HTTP/1.1 200 OK\r\n"...)
	dst = append(dst, lines.text...)
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	if c.keepAlive = c.keepAlive && !c.lastOne; !c.keepAlive {
		dst = append(dst, "\r\nConnection: close"...)
	}
	c.out = outBody{kind: outLength, started: n > 0}
	c.expecting = false
	move(&c.send, onHead)
	move(&c.send, onEnd)
	c.settle()
	return append(dst, "\r\n\r\n"...)
}
