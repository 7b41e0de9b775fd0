package h1

// chunkState is the place in the chunked coding (RFC 9112 7.1):
//
//	chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
//	chunk-ext = *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )
type chunkState uint8

const (
	chunkSize        chunkState = iota // reading chunk-size
	chunkSpace                         // BWS that only ";" may follow
	chunkName                          // before or in an extension's name
	chunkAfterName                     // BWS that "=" or ";" must follow
	chunkValue                         // before or in an extension's value
	chunkQuoted                        // inside a quoted-string
	chunkEscaped                       // behind a backslash in one
	chunkAfterQuoted                   // behind its closing quote
	chunkAfterValue                    // BWS that only ";" may follow
	chunkLF                            // CR read, LF due
	chunkData                          // chunk-data
	chunkDataCR                        // CR due
	chunkDataLF                        // LF due
	chunkTrailer                       // trailer section
)

// chunkReader is the progress in a chunked body. Everything but the trailer
// section is consumed as it comes, so a chunk-size line needs no room in the
// caller's buffer.
type chunkReader struct {
	state    chunkState
	started  bool  // the name or value has a first byte
	digits   uint8 // of chunk-size, leading zeros included
	line     int   // bytes of the chunk-size line so far, without CRLF
	overhead int   // framing beyond what the content excuses
	size     int64
}

// maxChunkDigits bounds chunk-size including its leading zeros.
const maxChunkDigits = 16

// readChunked returns the next piece of content in in.
func (c *conn) readChunked(in []byte) (Event, int, error) {
	r := &c.chunk
	for i := 0; ; i++ {
		if r.state == chunkTrailer {
			return c.readTrailer(in, i)
		}
		if i == len(in) {
			return Event{}, i, nil
		}
		b := in[i]
		switch r.state {
		case chunkData:
			n := int(min(int64(len(in)-i), c.remaining))
			ev := Event{Kind: EventData, Data: in[i : i+n : i+n]}
			if c.remaining == r.size {
				ev.Flags = ChunkStart
			}
			if c.remaining -= int64(n); c.remaining == 0 {
				r.state = chunkDataCR
				ev.Flags |= ChunkEnd
			}
			return ev, i + n, nil
		case chunkDataCR:
			if b != '\r' {
				return c.fail(ErrChunkEnd, i)
			}
			r.state = chunkDataLF
		case chunkDataLF:
			if b != '\n' {
				return c.fail(ErrChunkEnd, i)
			}
			overhead := r.overhead
			*r = chunkReader{overhead: overhead}
		case chunkLF:
			if b != '\n' {
				return c.fail(ErrBareCR, i)
			}
			if code := c.beginChunk(); code != 0 {
				return c.fail(code, i)
			}
		default:
			if b == '\r' && (r.complete() || r.state == chunkSpace && c.spaceBehindSize()) {
				r.state = chunkLF
				continue
			}
			if b == '\n' {
				return c.fail(ErrBareLF, i)
			}
			if r.line++; r.line > c.cfg.MaxChunkLine && b != '\r' {
				return c.fail(ErrChunkLineTooLong, i)
			}
			if code := r.lineByte(b); code != 0 {
				return c.fail(code, i)
			}
		}
	}
}

// spaceBehindSize reports whether whitespace may stand between chunk-size and CRLF.
func (c *conn) spaceBehindSize() bool { return c.client && c.cfg.ChunkSizeSpace }

// complete reports whether a chunk-size line may end here.
func (r *chunkReader) complete() bool {
	switch r.state {
	case chunkSize:
		return r.digits > 0
	case chunkName, chunkValue:
		return r.started
	}
	return r.state == chunkAfterQuoted
}

// lineByte takes one byte of a chunk-size line.
func (r *chunkReader) lineByte(b byte) Code {
	space := b == ' ' || b == '\t'
	if b == ';' && (r.complete() || r.state == chunkSpace || r.state == chunkAfterName || r.state == chunkAfterValue) {
		r.state, r.started = chunkName, false
		return 0
	}
	switch r.state {
	case chunkSize:
		switch {
		case is(b, hexDig):
			if r.digits++; r.digits > maxChunkDigits || r.size>>59 != 0 {
				return ErrChunkSize
			}
			r.size = r.size<<4 | int64(hexValue(b))
			return 0
		case space && r.digits > 0:
			r.state = chunkSpace
			return 0
		}
		return ErrChunkSize
	case chunkSpace:
		if space {
			return 0
		}
		return ErrChunkSize // whitespace and then no extension (row 53)
	case chunkName:
		switch {
		case is(b, tchar):
			r.started = true
			return 0
		case space && r.started:
			r.state = chunkAfterName
			return 0
		case b == '=' && r.started:
			r.state, r.started = chunkValue, false
			return 0
		case space:
			return 0
		}
	case chunkAfterName:
		switch {
		case space:
			return 0
		case b == '=':
			r.state, r.started = chunkValue, false
			return 0
		}
	case chunkValue:
		switch {
		case is(b, tchar):
			r.started = true
			return 0
		case b == '"' && !r.started:
			r.state = chunkQuoted
			return 0
		case space && r.started:
			r.state = chunkAfterValue
			return 0
		case space:
			return 0
		}
	case chunkQuoted:
		switch {
		case b == '"':
			r.state = chunkAfterQuoted
			return 0
		case b == '\\':
			r.state = chunkEscaped
			return 0
		case is(b, qdtext):
			return 0
		}
	case chunkEscaped:
		if is(b, text) {
			r.state = chunkQuoted
			return 0
		}
	case chunkAfterQuoted, chunkAfterValue:
		if space {
			r.state = chunkAfterValue
			return 0
		}
	}
	return ErrChunkExtension
}

// beginChunk acts on a complete chunk-size line. Framing is free up to 16 bytes
// a chunk and twice the content; what goes beyond adds up, so that a peer cannot
// make us read much and deliver little.
func (c *conn) beginChunk() Code {
	r := &c.chunk
	r.overhead += r.line + len("\r\n")
	if free := 16 + 2*min(r.size, 1<<30); int64(r.overhead) <= free {
		r.overhead = 0
	} else {
		r.overhead -= int(free)
	}
	switch {
	case r.overhead > c.cfg.MaxChunkOverhead:
		return ErrChunkOverhead
	case r.size > c.cfg.MaxBody-c.received:
		return ErrBodyTooLarge
	case r.size == 0:
		r.state = chunkTrailer
		c.scanner = scanner{}
		c.trailer.reset()
	default:
		r.state = chunkData
		c.remaining = r.size
		c.received += r.size
	}
	return 0
}

// readTrailer reads the trailer section, which starts at in[at:], and ends the
// message (RFC 9112 7.1.2). The section is consumed whole.
func (c *conn) readTrailer(in []byte, at int) (Event, int, error) {
	c.base += int64(at)
	n := c.section(&c.trailer, in[at:], c.cfg.MaxTrailer, c.cfg.MaxTrailerFields, ErrTrailerTooLarge)
	if n > 0 {
		n = c.trailerRules(n)
	}
	if n > 0 {
		c.trailer.raw = in[at : at+n : at+n]
	}
	c.base -= int64(at)
	switch {
	case c.err.Code != 0:
		return Event{}, at, &c.err
	case n < 0:
		return Event{}, at, nil
	}
	return c.endMessage(), at + n, nil
}

// trailerRules refuses fields that would change how the message is framed,
// routed or authenticated (RFC 9110 6.5.1): someone downstream may merge them.
func (c *conn) trailerRules(n int) int {
	for i, f := range c.trailer.fields {
		switch f.id {
		case FieldTransferEncoding, FieldContentLength, FieldTrailer, FieldTE, FieldHost,
			FieldConnection, FieldKeepAlive, FieldUpgrade, FieldExpect, FieldMaxForwards,
			FieldAuthorization, FieldProxyAuthorization, FieldCookie, FieldSetCookie:
			c.fault(ErrTrailerField, int(f.nameOff))
			c.err.Field = c.trailer.fields[i].id
			return -1
		}
	}
	return n
}

func hexValue(b byte) byte {
	if b <= '9' {
		return b - '0'
	}
	return lower(b) - 'a' + 10
}

// appendChunkSize appends chunk-size and CRLF (RFC 9112 7.1).
func appendChunkSize(dst []byte, n int64) []byte {
	const digits = "0123456789abcdef"
	shift := 0
	for n>>shift > 15 {
		shift += 4
	}
	for ; shift >= 0; shift -= 4 {
		dst = append(dst, digits[n>>shift&15])
	}
	return append(dst, '\r', '\n')
}
