package h1

import "bytes"

// Framing says how the end of a message's content is found (RFC 9112 6.3).
type Framing uint8

// The framings.
const (
	FramingNone    Framing = iota // there is no content
	FramingLength                 // Content-Length counts it
	FramingChunked                // the chunked coding delimits it
	FramingClose                  // it ends with the connection: responses only
)

// String returns the framing's name, such as "chunked".
func (f Framing) String() string {
	if int(f) >= len(framingNames) {
		return "framing(?)"
	}
	return framingNames[f]
}

var framingNames = [...]string{"none", "length", "chunked", "close"}

// requestRules applies the rules between fields at the blank line, which stands
// at offset end, in one fixed order: Host, lists, Transfer-Encoding,
// Content-Length. After them the message has exactly one framing.
func (c *conn) requestRules(h *Head, end int) int {
	switch host := h.index(FieldHost); {
	case host < 0:
		if h.line.version == HTTP11 {
			return c.fault(ErrHostMissing, end)
		}
	case c.repeated(h, FieldHost, ErrHostRepeated):
		return -1
	default:
		if _, ok := authority(h.value(host)); !ok {
			return c.blame(ErrHost, h, host)
		}
	}
	if c.listRules(h) < 0 {
		return -1
	}
	te, cl := h.index(FieldTransferEncoding), h.index(FieldContentLength)
	switch {
	case te >= 0:
		return c.transferEncoding(h, te, cl)
	case cl >= 0:
		return c.contentLength(h, cl)
	}
	return 0
}

// responseRules finds the framing of a response (RFC 9112 6.3), and what else its
// fields must say.
func (c *conn) responseRules(h *Head) int {
	status, asked := h.Status(), c.asked.oldest()
	if c.listRules(h) < 0 {
		return -1
	}
	switch {
	case status == 101:
		return c.switchRules(h)
	case status < 200:
		if c.asked.infos >= c.cfg.MaxInfo {
			return c.fault(ErrTooManyInfo, len("HTTP/1.1 "))
		}
		return 0
	case asked.tunnels(status):
		return 0
	case asked&askedHead != 0 || noContent(status):
		// Whatever the fields say; a length that makes sense is told.
		if cl := h.index(FieldContentLength); cl >= 0 && h.index(FieldTransferEncoding) < 0 {
			if n, code, _ := h.lengths(cl); code == 0 {
				h.length = n
			}
		}
		return 0
	}
	te, cl := h.index(FieldTransferEncoding), h.index(FieldContentLength)
	switch {
	case te >= 0:
		return c.transferEncoding(h, te, cl)
	case cl >= 0:
		n, code, at := h.lengths(cl)
		switch {
		case code != 0:
			return c.blame(code, h, at)
		case n > c.cfg.MaxBody:
			return c.blame(ErrBodyTooLarge, h, cl)
		}
		h.length, h.framing = n, FramingLength
		return 0
	}
	h.framing = FramingClose
	return 0
}

// lengths collapses the Content-Length lines of a response, of which cl is the
// first, to the value that all their members share, byte by byte (RFC 9110 8.6).
func (h *Head) lengths(cl int) (n int64, code Code, at int) {
	var first []byte
	for i := cl; i < len(h.fields); i++ {
		if h.fields[i].id != FieldContentLength {
			continue
		}
		v := h.value(i)
		for more := true; more; {
			var member []byte
			member, v, more = bytes.Cut(v, comma)
			from, to := trimOWS(member, 0, len(member))
			member = member[from:to]
			if first == nil {
				first = member
			}
			var ok bool
			switch n, ok = decimal(member); {
			case !ok:
				return 0, ErrContentLength, i
			case !bytes.Equal(first, member):
				return 0, ErrContentLengths, i
			}
		}
	}
	return n, 0, cl
}

// transferEncoding takes one line that says exactly "chunked" (rows 30 to 35): a
// recipient that reads anything else its own way is what smuggling lives on.
func (c *conn) transferEncoding(h *Head, te, cl int) int {
	v := h.value(te)
	switch {
	case h.line.version != HTTP11:
		return c.blame(ErrTransferEncoding10, h, te)
	case cl >= 0 && !c.cfg.AcceptCLTE:
		return c.blame(ErrLengthAndEncoding, h, max(te, cl))
	case c.repeated(h, FieldTransferEncoding, ErrTransferEncoding):
		return -1
	case h.line.method == MethodConnect:
		return c.blame(ErrConnectContent, h, te)
	}
	if cl >= 0 {
		h.options |= connClose
	}
	if equalFold(v, "chunked") {
		h.framing = FramingChunked
		return 0
	}
	offered := c.client && c.asked.oldest()&offeredCoding != 0
	switch chunked, unknown := codings(v); {
	case chunked && offered:
		h.framing = FramingChunked
	case unknown && !chunked && offered:
		h.framing = FramingClose // RFC 9112 6.3
	case chunked && unknown:
		return c.blame(ErrTransferCoding, h, te)
	default:
		return c.blame(ErrTransferEncoding, h, te)
	}
	return 0
}

// codings reads a list of transfer codings (RFC 9112 7). It reports whether chunked
// is the last of them and stands nowhere else, and whether there are others. For
// anything malformed both are false.
func codings(v []byte) (chunked, unknown bool) {
	for rest := v; ; {
		coding, parameters, tail, ok := transferCoding(rest)
		chunked = equalFold(coding, "chunked")
		switch last := len(tail) == 0; {
		case !ok, chunked && (parameters || !last):
			return false, false
		case last:
			return chunked, unknown || !chunked
		}
		unknown = true
		rest = tail[1:]
	}
}

// transferCoding parses token *( OWS ";" OWS token BWS "=" BWS ( token /
// quoted-string ) ), up to a comma or the end.
func transferCoding(v []byte) (coding []byte, parameters bool, tail []byte, ok bool) {
	token := func(i int) (from, to int) {
		from = skipBlank(v, i)
		return from, span(v, from, tchar)
	}
	from, i := token(0)
	coding = v[from:i]
	for i > from {
		switch i = skipBlank(v, i); {
		case i == len(v) || v[i] == ',':
			return coding, parameters, v[i:], true
		case v[i] != ';':
			return nil, false, nil, false
		}
		parameters = true
		if from, i = token(i + 1); i == from {
			break
		}
		if i = skipBlank(v, i); i == len(v) || v[i] != '=' {
			break
		}
		from, i = token(i + 1)
		if i == from && i < len(v) && v[i] == '"' {
			i = quotedString(v, i)
		}
	}
	return nil, false, nil, false
}

// quotedString returns the offset behind the quoted-string that begins at v[i],
// or i if there is none (RFC 9110 5.6.4).
func quotedString(v []byte, i int) int {
	for k := i + 1; k < len(v); k++ {
		switch {
		case v[k] == '"':
			return k + 1
		case v[k] == '\\':
			k++ // what follows is text, as every byte of a field value is
		}
	}
	return i
}

func (c *conn) contentLength(h *Head, cl int) int {
	if c.repeated(h, FieldContentLength, ErrContentLengths) {
		return -1
	}
	n, ok := decimal(h.value(cl))
	switch {
	case !ok:
		return c.blame(ErrContentLength, h, cl)
	case n > 0 && h.line.method == MethodConnect:
		return c.blame(ErrConnectContent, h, cl)
	case n > c.cfg.MaxBody:
		return c.blame(ErrBodyTooLarge, h, cl)
	}
	h.length, h.framing = n, FramingLength
	return 0
}

// decimal parses 1*DIGIT of at most 19 digits, leading zeros included, into an
// int64.
func decimal[B []byte | string](v B) (n int64, ok bool) {
	if len(v) == 0 || len(v) > 19 {
		return 0, false
	}
	for i := range len(v) {
		if !is(v[i], digit) {
			return 0, false
		}
		d := int64(v[i] - '0')
		if n > (1<<63-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// repeated faults the second line of a field that may have only one.
func (c *conn) repeated(h *Head, id FieldID, code Code) bool {
	if h.again&(1<<id) == 0 {
		return false
	}
	for i := h.index(id) + 1; i < len(h.fields); i++ {
		if h.fields[i].id == id {
			c.blame(code, h, i)
			return true
		}
	}
	return false
}

// blame faults the value of field line i.
func (c *conn) blame(code Code, h *Head, i int) int {
	c.fault(code, int(h.fields[i].valOff))
	c.err.Field = h.fields[i].id
	return -1
}
