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
	line   int  // start of the line that is being read
	scan   int  // first byte not looked at
	begun  bool // a byte of the section has come
	folded bool // a field line of the section is folded
}

// leniency is what one section may hold beyond the grammar.
type leniency uint8

const (
	foldedLines leniency = 1 << iota // a line that begins with whitespace continues the last
	bareLF                           // LF alone ends a line
	ctlValues                        // controls in field values
	spacedNames                      // whitespace before the colon
	resolved                         // none of these: the configuration has been read
)

// leniency returns what the peer's sections may hold. A user agent must take folded
// lines in responses (RFC 9112 5.2).
func (c *conn) leniency() (l leniency) {
	set := func(bit leniency, on bool) {
		if on {
			l |= bit
		}
	}
	set(foldedLines, c.client || c.cfg.FoldRequests)
	set(bareLF, c.client && c.cfg.LFResponses)
	set(ctlValues, c.client && c.cfg.CTLValues)
	set(spacedNames, c.client && c.cfg.StripNameSpace)
	return l
}

// endOfLine returns the offset of what ends the current line, CRLF as a rule, and
// the offset behind it. It returns -1 if the line is incomplete or bad; the latter
// is in c.err. A text byte at offset bound is one too many and fails with the code
// over.
func (c *conn) endOfLine(in []byte, bound int, over Code, may leniency) (end, next int) {
	look := in[:min(len(in), bound+1)]
	i := skipText(look, c.scan)
	for may&ctlValues != 0 && i < len(look) && look[i] != '\r' && look[i] != '\n' && look[i] != 0 {
		i = skipText(look, i+1)
	}
	switch {
	case i > bound:
		c.fault(over, bound)
	case i == len(in):
		c.scan = i
	case in[i] == '\n':
		if may&bareLF != 0 {
			return i, i + 1
		}
		c.fault(ErrBareLF, i)
	case in[i] != '\r':
		c.fault(ErrControl, i)
	case i+1 == len(in):
		c.scan = i
	case in[i+1] != '\n':
		c.fault(ErrBareCR, i)
	default:
		return i, i + 2
	}
	return -1, 0
}

// section gathers the field lines of in into h, up to the blank line, where c.line
// then is. It returns the section's length, or -1 if it is incomplete or bad. A
// section holds at most maxBytes bytes and maxFields lines.
func (c *conn) section(h *Head, in []byte, maxBytes, maxFields int, over Code) int {
	may := c.may
	for {
		if c.scan == c.line && c.fastLines(h, in, maxBytes, maxFields, may&foldedLines != 0) {
			return c.blankLine(h, in, c.line+2)
		}
		end, next := c.endOfLine(in, maxBytes, over, may)
		switch {
		case end < 0:
			return -1
		case next > maxBytes:
			return c.fault(over, maxBytes)
		case end == c.line:
			return c.blankLine(h, in, next)
		case may&foldedLines == 0:
		case next == len(in):
			c.scan = end // the next byte tells whether the line goes on
			return -1
		case in[next] == ' ' || in[next] == '\t':
			c.scan, c.folded = next, true
			continue
		}
		if len(h.fields) >= maxFields {
			return c.fault(ErrTooManyFields, c.line)
		}
		if c.fieldLine(h, in, c.line, end, may) < 0 {
			return -1
		}
		c.line, c.scan = next, next
	}
}

// blankLine ends a section that is n bytes long.
func (c *conn) blankLine(h *Head, in []byte, n int) int {
	if c.folded {
		h.unfold(in)
	}
	return n
}

// fieldLine parses in[start:end], "field-name ":" OWS field-value OWS" (RFC 9112
// 5), into h.
func (c *conn) fieldLine(h *Head, in []byte, start, end int, may leniency) int {
	stop := span(in[:end], start, tchar)
	colon := stop
	if may&spacedNames != 0 {
		colon = skipBlank(in[:end], stop)
	}
	switch {
	case colon < end && in[colon] == ':' && stop > start && stop-start <= 0xffff:
	case in[start] == ' ' || in[start] == '\t':
		if len(h.fields) == 0 {
			return c.fault(ErrLeadingSpace, start)
		}
		return c.fault(ErrObsFold, start)
	case stop > start && colonAfterSpace(in[stop:end]):
		return c.fault(ErrSpaceBeforeColon, stop)
	default:
		return c.fault(ErrFieldName, stop)
	}
	from, to := trimOWS(in, colon+1, end)
	if c.folded {
		from, to = trimFolds(in, from, to)
	}
	id := fieldOf(in[start:stop])
	h.add(field{uint32(start), uint32(from), uint32(to - from), uint16(stop - start), id})
	return 0
}

// colonAfterSpace reports whether b begins with whitespace and then a colon.
func colonAfterSpace(b []byte) bool {
	i := skipBlank(b, 0)
	return i > 0 && i < len(b) && b[i] == ':'
}

// trimFolds is trimOWS where line ends are whitespace too.
func trimFolds(b []byte, i, j int) (int, int) {
	for i < j && blankOrEnd(b[i]) {
		i++
	}
	for i < j && blankOrEnd(b[j-1]) {
		j--
	}
	return i, j
}

func blankOrEnd(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }

// unfold overwrites each line end inside a value of in, with the whitespace around
// it, by SP (RFC 9112 5.2). The length stays, so no offset changes. It runs only
// when the section is complete: until then the caller may present it again from a
// copy.
func (h *Head) unfold(in []byte) {
	for _, f := range h.fields {
		v := in[f.valOff : f.valOff+f.valLen]
		for i := 0; i < len(v); i++ {
			start, fold := i, false
			for ; i < len(v) && blankOrEnd(v[i]); i++ {
				fold = fold || v[i] == '\r' || v[i] == '\n'
			}
			for k := start; fold && k < i; k++ {
				v[k] = ' '
			}
		}
	}
}
