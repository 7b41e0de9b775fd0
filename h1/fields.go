package h1

// scanner remembers how far a head or a trailer section has been looked at, so
// that no byte is looked at twice however the input is cut. Both offsets count
// from the section's first byte.
//
// What a section means may not depend on where its input was cut. So a line is
// first searched for its end, and a byte that no line may hold is reported where
// it stands; only a line that is complete is checked for grammar, and rules
// between fields are applied at the blank line.
type scanner struct {
	line  int  // start of the line that is being read
	scan  int  // first byte not looked at
	begun bool // a byte of the section has come
}

// endOfLine returns the offset of the CRLF that ends the current line. It returns
// -1 if the line is incomplete or bad; the latter is in c.err. A text byte at
// offset bound is one too many and fails with the code over.
func (c *conn) endOfLine(in []byte, bound int, over Code) int {
	i := skipText(in[:min(len(in), bound+1)], c.scan)
	switch {
	case i > bound:
		c.fault(over, bound)
	case i == len(in):
		c.scan = i
	case in[i] == '\n':
		c.fault(ErrBareLF, i)
	case in[i] != '\r':
		c.fault(ErrControl, i)
	case i+1 == len(in):
		c.scan = i
	case in[i+1] != '\n':
		c.fault(ErrBareCR, i)
	default:
		return i
	}
	return -1
}

// section gathers the field lines of in into h, up to the blank line. It returns
// the section's length, or -1 if it is incomplete or bad. A section holds at most
// maxBytes bytes and maxFields lines.
func (c *conn) section(h *Head, in []byte, maxBytes, maxFields int, over Code) int {
	for {
		if c.scan == c.line {
			c.fastLines(h, in, maxBytes, maxFields)
		}
		end := c.endOfLine(in, maxBytes, over)
		if end < 0 {
			return -1
		}
		if end+2 > maxBytes {
			return c.fault(over, maxBytes)
		}
		if end == c.line {
			return end + 2
		}
		if len(h.fields) >= maxFields {
			return c.fault(ErrTooManyFields, c.line)
		}
		if c.fieldLine(h, in, c.line, end) < 0 {
			return -1
		}
		c.line, c.scan = end+2, end+2
	}
}

// fieldLine parses in[start:end], "field-name ":" OWS field-value OWS" (RFC 9112
// 5), into h.
func (c *conn) fieldLine(h *Head, in []byte, start, end int) int {
	colon := span(in[:end], start, tchar)
	switch {
	case colon < end && in[colon] == ':' && colon > start && colon-start <= 0xffff:
	case in[start] == ' ' || in[start] == '\t':
		if len(h.fields) == 0 {
			return c.fault(ErrLeadingSpace, start)
		}
		return c.fault(ErrObsFold, start)
	case colon > start && colonAfterSpace(in[colon:end]):
		return c.fault(ErrSpaceBeforeColon, colon)
	default:
		return c.fault(ErrFieldName, colon)
	}
	name := in[start:colon]
	from, to := trimOWS(in, colon+1, end)
	id := fieldOf(name)
	h.add(field{uint32(start), uint32(from), uint32(to - from), uint16(colon - start), id})
	return 0
}

// colonAfterSpace reports whether b begins with whitespace and then a colon.
func colonAfterSpace(b []byte) bool {
	i := skipBlank(b, 0)
	return i > 0 && i < len(b) && b[i] == ':'
}
