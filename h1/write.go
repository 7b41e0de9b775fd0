package h1

import "strconv"

// HeadWriter appends a message head, field by field. It is a value; its first
// error sticks, and End returns it with dst cut back to where it began: a head is
// appended whole or not at all, and the connection's state changes only with it.
//
// Names, values and reason are checked, so that no field can smuggle a line
// (RFC 9110 5.5). Content-Length, Transfer-Encoding and Connection may be given
// through Field, as a proxy does; they are understood, contradictions are errors,
// and what the connection itself has to say is merged in.
type HeadWriter struct {
	c        *conn
	kind     headKind
	method   Method // of a request
	status   int    // of a response
	dst      []byte
	start    int   // len(dst) at Begin
	fields   int   // where the field lines start
	length   int64 // Content-Length, or -1
	seen     uint64
	has      headFacts
	options  connOptions // members of the Connection line that was given
	connEnd  int         // where its value ends
	upgrades int         // Upgrade lines
	err      Code
}

type headKind uint8

const (
	trailerSection headKind = iota
	responseHead
	requestHead
)

type headFacts uint8

const (
	hasChunked   headFacts = 1 << iota // Transfer-Encoding: chunked
	wantClose                          // Close was called
	hasExpect                          // Expect: 100-continue, in a request
	hasTE                              // TE, in a request
	offersCoding                       // TE names a transfer coding
)

// BeginTrailer starts the trailer section of a chunked message; its End also ends
// the message. Fields about framing, routing, authentication, the request or the
// content's format are refused: they come too late, and a recipient might merge
// them (RFC 9110 6.5.1). If Sending is not FramingChunked there is no place for
// trailer fields and End fails with ErrFraming, but in the answer to HEAD, where
// they are checked and not sent.
func (c *conn) BeginTrailer(dst []byte) HeadWriter {
	w := HeadWriter{c: c, dst: dst, start: len(dst), length: -1}
	if w.err = c.mayTrail(); w.err == 0 {
		w.dst = append(w.dst, "0\r\n"...)
		w.fields = len(w.dst)
	}
	return w
}

// mayTrail returns the rule that a trailer section would break now, or 0.
func (c *conn) mayTrail() Code {
	o := &c.out
	switch {
	case c.send != Body || o.open:
		return ErrState
	case o.kind == outDiscard && o.started && o.left > 0:
		return ErrBodyShort
	case o.kind != outChunked && o.kind != outDiscard:
		return ErrFraming
	}
	return 0
}

// endTrailer ends the message whose trailer section w is.
func (c *conn) endTrailer(w *HeadWriter) {
	w.dst = append(w.dst, "\r\n"...)
	if c.out.kind == outDiscard {
		w.dst = w.dst[:w.start]
	}
	move(&c.send, onEnd)
	c.settle()
}

// notInTrailers are the fields that BeginTrailer's writer refuses.
const notInTrailers = 1<<FieldTransferEncoding | 1<<FieldContentLength | 1<<FieldTrailer | 1<<FieldTE |
	1<<FieldHost | 1<<FieldConnection | 1<<FieldKeepAlive | 1<<FieldUpgrade | 1<<FieldExpect | 1<<FieldMaxForwards |
	1<<FieldAuthorization | 1<<FieldProxyAuthorization | 1<<FieldProxyAuthenticate | 1<<FieldWWWAuthenticate |
	1<<FieldCookie | 1<<FieldSetCookie | 1<<FieldCacheControl | 1<<FieldRange | 1<<FieldIfMatch |
	1<<FieldIfNoneMatch | 1<<FieldIfModifiedSince | 1<<FieldIfUnmodifiedSince | 1<<FieldIfRange |
	1<<FieldContentType | 1<<FieldContentEncoding | 1<<FieldContentRange | 1<<FieldAge | 1<<FieldExpires |
	1<<FieldDate | 1<<FieldLocation | 1<<FieldRetryAfter | 1<<FieldVary

// once are the fields that a message may hold only one line of (RFC 9110 5.3).
const once = 1<<FieldAge | 1<<FieldAuthorization | 1<<FieldContentLength | 1<<FieldContentLocation |
	1<<FieldContentRange | 1<<FieldContentType | 1<<FieldDate | 1<<FieldETag | 1<<FieldExpires |
	1<<FieldHost | 1<<FieldLastModified | 1<<FieldLocation | 1<<FieldRetryAfter | 1<<FieldServer |
	1<<FieldTransferEncoding

// Reason replaces the reason phrase of a response (RFC 9112 4). It must be called
// before the first field.
func (w *HeadWriter) Reason(s string) {
	switch {
	case w.err != 0:
	case len(w.dst) != w.fields || w.kind != responseHead:
		w.err = ErrState
	case !isText(s):
		w.err = ErrFieldValue
	default:
		w.dst = appendStatusLine(w.dst[:w.start], w.status, s)
		w.fields = len(w.dst)
	}
}

// The methods that append a field are not inlined: what the compiler knows of
// appendField's arguments, that w does not escape, it does not tell to importers,
// who would find their HeadWriter on the heap.

// Field appends a field line. The name keeps its spelling; the value must hold no
// control character but HTAB.
//
//go:noinline
func (w *HeadWriter) Field(name, value string) { appendField(w, fieldOf(name), name, value) }

// FieldBytes is Field for a value in bytes, which are copied.
//
//go:noinline
func (w *HeadWriter) FieldBytes(name string, value []byte) {
	appendField(w, fieldOf(name), name, value)
}

// Known appends a field line with the field's registered spelling.
//
//go:noinline
func (w *HeadWriter) Known(id FieldID, value string) { appendField(w, id, id.String(), value) }

// Int appends a field line with a decimal value.
//
//go:noinline
func (w *HeadWriter) Int(id FieldID, v int64) {
	var b [20]byte
	appendField(w, id, id.String(), strconv.AppendInt(b[:0], v, 10))
}

// Length announces n bytes of content (RFC 9110 8.6). Without it the content of a
// response is chunked for an HTTP/1.1 peer, and ends with the connection for an
// older one; a request has none, or is Chunked.
func (w *HeadWriter) Length(n int64) {
	switch {
	case w.err != 0:
	case n < 0:
		w.err = ErrFraming
	case w.length >= 0:
		w.err = ErrFieldRepeated
	default:
		w.length = n
	}
}

// Chunked announces content in the chunked coding, which needs no length in
// advance (RFC 9112 7.1). It is Field("Transfer-Encoding", "chunked").
func (w *HeadWriter) Chunked() { w.has |= hasChunked }

// Close makes this the connection's last message.
func (w *HeadWriter) Close() { w.has |= wantClose }

// CopyFields appends the field lines of h for which keep says so, in their order
// and spelling, as a proxy does; a nil keep means all that are not h.HopByHop, and
// the Upgrade lines of 101 and 426. What the message that is being written cannot
// have is left out: Host, which Begin has written, Expect without content, a length
// where the status has none, and what BeginTrailer refuses. Content-Length is taken
// over once, by its value. Fields that should not be repeated are, if h repeats
// them. How the content is framed is for the caller to say: a request whose
// h.Framing is FramingChunked stays Chunked.
func (w *HeadWriter) CopyFields(h *Head, keep func(i int) bool) {
	for i := range h.Len() {
		id := h.ID(i)
		bit := uint64(1) << id &^ 1
		switch {
		case keep == nil && h.HopByHop(i) && !(id == FieldUpgrade && (w.status == 101 || w.status == 426)), keep != nil && !keep(i):
		case w.kind == requestHead && (id == FieldHost || id == FieldExpect && h.NoBody()):
		case w.kind == trailerSection && bit&notInTrailers != 0:
		case id == FieldContentLength:
			if n, ok := h.ContentLength(); ok && i == h.index(id) && (w.kind == requestHead || !noContent(w.status) || w.status == 304) {
				w.Length(n)
			}
		default:
			if bit&once != 0 && id != FieldTransferEncoding {
				w.seen &^= bit
			}
			name, value := h.At(i)
			appendField(w, id, name, value)
		}
	}
}

// End completes the head. On success it returns dst with the head appended, which
// is then promised: send it, or call Fail. On error it returns dst as it was.
func (w *HeadWriter) End() ([]byte, error) {
	if w.err == 0 {
		w.err = w.end()
	}
	if w.err != 0 {
		return w.dst[:w.start], w.c.misuse(w.err)
	}
	return w.dst, nil
}

// end asks what Begin asked, again, since others may have been busy in between.
func (w *HeadWriter) end() Code {
	c := w.c
	switch w.kind {
	case requestHead:
		if code := c.mayRequest(); code != 0 {
			return code
		}
		return c.endRequest(w)
	case responseHead:
		if code := c.mayRespond(w.status); code != 0 {
			return code
		}
		return c.endResponse(w)
	}
	if code := c.mayTrail(); code != 0 {
		return code
	}
	if w.length >= 0 || w.has != 0 {
		return ErrFraming
	}
	c.endTrailer(w)
	return 0
}

// framing appends the field that tells how content of this kind ends, if one does.
func (w *HeadWriter) framing(kind outKind) {
	switch {
	case w.length >= 0:
		dst := append(w.dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, w.length, 10)
		w.dst = append(dst, "\r\n"...)
	case kind == outChunked:
		w.dst = append(w.dst, "Transfer-Encoding: chunked\r\n"...)
	}
}

func appendField[N, V []byte | string](w *HeadWriter, id FieldID, name N, value V) {
	bit := uint64(1) << id &^ 1
	switch {
	case w.err != 0:
		return
	case bit == 0 && !isToken(name):
		w.err = ErrInvalidName
		return
	case !isText(value):
		w.err = ErrFieldValue
		return
	case w.seen&bit&once != 0:
		w.err = ErrFieldRepeated
		return
	case w.kind == trailerSection && bit&notInTrailers != 0:
		w.err = ErrNotInTrailer
		return
	}
	w.seen |= bit
	i, j := trimOWS(value, 0, len(value))
	value = value[i:j]
	switch id {
	case FieldContentLength:
		n, ok := decimal(value)
		if !ok {
			n = -1
		}
		w.Length(n)
	case FieldTransferEncoding:
		if !equalFold(value, "chunked") {
			w.err = ErrFraming
		}
		w.has |= hasChunked
	case FieldConnection:
		for m := range members(string(value)) {
			w.options |= connOption(m)
			w.connection(m)
		}
	default:
		if bit&marked != 0 {
			w.mark(id, string(value))
		}
		dst := append(w.dst, name...)
		dst = append(dst, ": "...)
		dst = append(dst, value...)
		w.dst = append(dst, "\r\n"...)
	}
}

// marked are the fields that mark looks at.
const marked = 1<<FieldUpgrade | 1<<FieldExpect | 1<<FieldTE

// mark notes what a field that is sent as it is means to the connection.
func (w *HeadWriter) mark(id FieldID, value string) {
	switch {
	case id == FieldUpgrade:
		if w.upgrades++; w.status == 101 && !w.c.offered(value) {
			w.err = ErrUpgrade
		}
	case w.kind != requestHead:
	case id == FieldExpect:
		for m := range members(value) {
			if equalFold(m, "100-continue") {
				w.has |= hasExpect
			}
		}
	default: // TE never lists chunked (RFC 9112 7.4)
		w.has |= hasTE
		for m := range members(value) {
			switch coding := m[:span([]byte(m), 0, tchar)]; {
			case equalFold(coding, "chunked"):
				w.err = ErrFraming
			case !equalFold(coding, "trailers"):
				w.has |= offersCoding
			}
		}
	}
}

// connection adds a member to the one Connection line, wherever that stands.
func (w *HeadWriter) connection(member string) {
	if w.connEnd == 0 {
		w.dst = append(w.dst, "Connection: "...)
		w.dst = append(w.dst, member...)
		w.connEnd = len(w.dst)
		w.dst = append(w.dst, "\r\n"...)
		return
	}
	at, n := w.connEnd, len(", ")+len(member)
	w.dst = append(w.dst, ", "...)
	w.dst = append(w.dst, member...) // makes room
	copy(w.dst[at+n:], w.dst[at:])
	copy(w.dst[at:], ", ")
	copy(w.dst[at+len(", "):], member)
	w.connEnd = at + n
}

func isToken[B []byte | string](s B) bool {
	for i := range len(s) {
		if !is(s[i], tchar) {
			return false
		}
	}
	return len(s) > 0
}

// isText reports whether v may be a field value. The bytes of a word are put
// together by hand since v may be a string; the compiler makes it one load.
func isText[V []byte | string](v V) bool {
	i := 0
	for ; i+8 <= len(v); i += 8 {
		p := v[i : i+8]
		w := uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16 | uint64(p[3])<<24 |
			uint64(p[4])<<32 | uint64(p[5])<<40 | uint64(p[6])<<48 | uint64(p[7])<<56
		if noText(w) != 0 {
			break // HTAB perhaps
		}
	}
	for ; i < len(v); i++ {
		if !is(v[i], text) {
			return false
		}
	}
	return true
}
