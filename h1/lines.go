package h1

import (
	"slices"
	"strconv"
)

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
		return s.appendPlain(dst, lines, body), nil
	}
	w := s.Begin(dst, status)
	w.Lines(lines)
	return s.appendWhole(&w, body)
}

// plain reports whether a final response now says nothing of the connection but
// perhaps close, and ends the exchange.
func (c *conn) plain() bool {
	m := c.head.line.method
	return c.recv == Done && c.send == Idle && c.head.line.version == HTTP11 && m != MethodHead && m != MethodConnect
}

// appendPlain is AppendFixed for a plain exchange.
func (c *conn) appendPlain(dst []byte, lines FieldLines, body []byte) []byte {
	const start, length, most = "HTTP/1.1 200 OK\r\n", "Content-Length: ", 20
	n := len(dst)
	dst = slices.Grow(dst, len(start)+len(lines.text)+len(length)+most+len("\r\n\r\n")+len(body))
	dst = append(dst[:n+len(start)], lines.text...)
	copy(dst[n:], start)
	dst = append(dst, length...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	if c.keepAlive = c.keepAlive && !c.lastOne; !c.keepAlive {
		dst = append(dst, "\r\nConnection: close"...)
	}
	dst = append(dst, "\r\n\r\n"...)
	c.out = outBody{kind: outLength, started: len(body) > 0}
	c.expecting = false
	move(&c.send, onHead)
	move(&c.send, onEnd)
	c.settle()
	return append(dst, body...)
}
