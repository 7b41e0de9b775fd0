package h1

import "bytes"

// Method is a request method that has a name here; every other token is
// MethodOther and is read with Head.MethodBytes.
type Method uint8

// The methods of RFC 9110 9.3 and RFC 5789.
const (
	MethodOther Method = iota
	MethodGet
	MethodHead
	MethodPost
	MethodPut
	MethodDelete
	MethodConnect
	MethodOptions
	MethodTrace
	MethodPatch
	nMethods
)

var methodNames = [nMethods]string{"", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

// String returns the method's name, such as "GET", and "" for MethodOther.
func (m Method) String() string {
	if m >= nMethods {
		return ""
	}
	return methodNames[m]
}

func methodOf[B []byte | string](b B) Method {
	for m := MethodGet; m < nMethods; m++ {
		if string(b) == methodNames[m] {
			return m
		}
	}
	return MethodOther
}

// Form is one of the four forms of a request-target (RFC 9112 3.2).
type Form uint8

// The forms of a request-target.
const (
	FormNone      Form = iota // not a request
	FormOrigin                // "/path?query"
	FormAbsolute              // "http://host/path?query"
	FormAuthority             // "host:port", with CONNECT only
	FormAsterisk              // "*", with OPTIONS only
)

// String returns the form's name in the words of RFC 9112.
func (f Form) String() string {
	if int(f) >= len(formNames) {
		return "form(?)"
	}
	return formNames[f]
}

var formNames = [...]string{"none", "origin-form", "absolute-form", "authority-form", "asterisk-form"}

// requestLine parses in[:end], "method SP request-target SP HTTP-version" (RFC
// 9112 3), into h. Nothing is corrected: one SP stands in each place (row 10).
func (c *conn) requestLine(h *Head, in []byte, end int) int {
	line := in[:end]
	m := span(line, 0, tchar)
	switch {
	case m > maxMethod:
		return c.fault(ErrMethodTooLong, maxMethod)
	case m == 0 || m == end || line[m] != ' ':
		return c.fault(ErrRequestLine, m)
	}
	start := m + 1
	stop := span(line, start, targetByte)
	switch {
	case stop-start > c.cfg.MaxTarget:
		return c.fault(ErrTargetTooLong, start+c.cfg.MaxTarget)
	case stop == end:
		return c.fault(ErrVersion, end)
	case stop == start || line[stop] != ' ':
		return c.fault(ErrTarget, stop)
	}
	h.line.method = methodOf(line[:m])
	h.line.methodLen = uint16(m)
	h.line.targetOff, h.line.targetLen = uint32(start), uint32(stop-start)
	if c.version(h, line, stop+1, end) < 0 {
		return -1
	}
	return c.target(h, line[start:stop], start)
}

// version parses line[at:end], "HTTP/" DIGIT "." DIGIT (RFC 9112 2.3).
func (c *conn) version(h *Head, line []byte, at, end int) int {
	const prefix = "HTTP/"
	v := line[at:end]
	for i := range prefix {
		if i == len(v) || v[i] != prefix[i] {
			return c.fault(ErrVersion, at+i)
		}
	}
	switch {
	case len(v) < 6 || !is(v[5], digit):
		return c.fault(ErrVersion, at+5)
	case len(v) < 7 || v[6] != '.':
		return c.fault(ErrVersion, at+6)
	case len(v) < 8 || !is(v[7], digit):
		return c.fault(ErrVersion, at+7)
	case len(v) > 8:
		return c.fault(ErrVersion, at+8)
	case string(v) == "HTTP/2.0" && string(line[:at]) == "PRI * ":
		return c.fault(ErrHTTP2Preface, at+5)
	case v[5] != '1':
		return c.fault(ErrVersionMajor, at+5)
	}
	h.line.version = HTTP11
	if v[7] == '0' {
		h.line.version = HTTP10
	}
	return 0
}

// target finds the form of the request-target t, which stands at offset at, and
// the authority in it.
func (c *conn) target(h *Head, t []byte, at int) int {
	form, from, to, bad := parseTarget(h.line.method, t)
	if bad >= 0 {
		return c.fault(ErrTarget, at+bad)
	}
	if c.cfg.StrictTarget && (form == FormOrigin || form == FormAbsolute) {
		if i := strictPath(t, to); i < len(t) {
			return c.fault(ErrTarget, at+i)
		}
	}
	h.line.form = form
	h.line.authOff, h.line.authLen = uint32(at+from), uint32(to-from)
	return 0
}

// parseTarget returns the form of a request-target and where in it the authority
// stands (RFC 9112 3.2). Only CONNECT has, and must have, an authority-form; only
// OPTIONS may have "*". Where t is bad, bad is the offset, else -1.
func parseTarget(method Method, t []byte) (form Form, from, to, bad int) {
	switch {
	case method == MethodConnect:
		port, ok := authority(t)
		if !ok || port < 2 || !validPort(t[port:]) {
			return FormNone, 0, 0, 0
		}
		return FormAuthority, 0, len(t), -1
	case len(t) > 0 && t[0] == '/':
		return FormOrigin, 0, 0, -1
	case len(t) == 1 && t[0] == '*' && method == MethodOptions:
		return FormAsterisk, 0, 0, -1
	}
	return absoluteForm(t)
}

// absoluteForm parses scheme "://" authority and leaves what follows alone. An
// empty host and user information are refused (RFC 9110 4.2.1, 4.2.4), and so
// are URIs without an authority: no HTTP resource is named by one.
func absoluteForm(t []byte) (form Form, from, to, bad int) {
	i := bytes.IndexByte(t, ':')
	if i < 1 || !is(t[0], alpha) || !bytes.HasPrefix(t[i:], []byte("://")) {
		return FormNone, 0, 0, 0
	}
	for k, b := range t[:i] {
		if !is(b, alpha|digit) && b != '+' && b != '-' && b != '.' {
			return FormNone, 0, 0, k
		}
	}
	from = i + 3
	to = from
	for to < len(t) && t[to] != '/' && t[to] != '?' {
		to++
	}
	if port, ok := authority(t[from:to]); !ok || from == to || port == 1 {
		return FormNone, 0, 0, from
	}
	return FormAbsolute, from, to, -1
}

// strictPath returns the index of the first byte of t at or after i that no path
// and no query has, or len(t) (RFC 3986 3.3, 3.4).
func strictPath(t []byte, i int) int {
	for i < len(t) {
		switch b := t[i]; {
		case b == '%' && i+2 < len(t) && is(t[i+1], hexDig) && is(t[i+2], hexDig):
			i += 3
		case is(b, regName), b == ',', b == ':', b == '@', b == '/', b == '?':
			i++
		default:
			return i
		}
	}
	return i
}

// Begin starts a request head for target at host, which is uri-host [":" port] and
// stands first, as Host (RFC 9112 3.2). The target must be in the form that the
// method wants; if it has an authority, host must be the same. The head is
// appended to dst; see HeadWriter.End.
//
// A request has content if Length or Chunked says so. POST, PUT and PATCH without
// content say that its length is zero (RFC 9110 8.6). HTTP/1.1 is assumed of the
// server until it proves older; then the content must have a length (RFC 9112 6.1).
func (cl *ClientConn) Begin(dst []byte, method, target, host string) HeadWriter {
	return beginRequest(cl, dst, method, target, host)
}

// BeginBytes is Begin for what was read elsewhere, as by a proxy.
func (cl *ClientConn) BeginBytes(dst, method, target, host []byte) HeadWriter {
	return beginRequest(cl, dst, method, target, host)
}

func beginRequest[B []byte | string](cl *ClientConn, dst []byte, method, target, host B) HeadWriter {
	c := &cl.conn
	c.client = true
	c.ready()
	w := HeadWriter{c: c, kind: requestHead, dst: dst, start: len(dst), length: -1}
	w.method = methodOf(method)
	if w.err = c.mayRequest(); w.err != 0 {
		return w
	}
	w.dst = append(w.dst, method...)
	w.dst = append(w.dst, ' ')
	at := len(w.dst)
	w.dst = append(w.dst, target...)
	t := w.dst[at:]
	_, from, to, bad := parseTarget(w.method, t)
	w.dst = append(w.dst, " HTTP/1.1\r\n"...)
	switch {
	case !isToken(w.dst[w.start : at-1]):
		w.err = ErrInvalidMethod
	case bad >= 0 || span(t, 0, targetByte) < len(t):
		w.err = ErrInvalidTarget
	case from < to && !equalFold(t[from:to], host):
		w.err = ErrInvalidHost
	}
	at = len(w.dst) + len("Host: ")
	appendField(&w, FieldHost, "Host", host)
	if w.err == 0 {
		if _, ok := authority(w.dst[at : len(w.dst)-len("\r\n")]); !ok {
			w.err = ErrInvalidHost
		}
	}
	w.fields = len(w.dst)
	return w
}

// mayRequest returns the rule that a request head would break now, or 0.
func (c *conn) mayRequest() Code {
	if c.send != Idle || c.eof || c.recv == Closed || c.recv == Failed || c.asked.blocking() {
		return ErrState
	}
	return 0
}

// endRequest ends a request head: it chooses the framing, appends the fields that
// tell it and the connection's future, and moves the state on.
func (c *conn) endRequest(w *HeadWriter) Code {
	kind := outNone
	switch {
	case w.has&hasChunked != 0:
		kind = outChunked
		if w.length >= 0 || c.old {
			return ErrFraming
		}
	case w.length >= 0:
		kind = outLength
	case w.method == MethodPost || w.method == MethodPut || w.method == MethodPatch:
		kind, w.length = outLength, 0
	}
	content := kind == outChunked || w.length > 0
	if content && (w.method == MethodConnect || w.method == MethodTrace) || !content && w.has&hasExpect != 0 {
		return ErrFraming
	}
	w.framing(kind)
	w.nameUpgrade()
	if w.has&hasTE != 0 && w.options&connTE == 0 {
		w.connection("TE") // and TE (RFC 9112 7.4)
	}
	last := c.lastOne || w.has&wantClose != 0 || w.options&connClose != 0
	if last && w.options&connClose == 0 {
		w.connection("close")
	}
	w.dst = append(w.dst, "\r\n"...)

	c.out = outBody{kind: kind, left: w.length}
	c.expecting = w.has&hasExpect != 0
	c.asked.push(w.question(last))
	c.asked.offers = c.asked.offers[:0]
	if w.upgrades > 0 {
		c.asked.offers = w.appendOffers(c.asked.offers)
	}
	move(&c.send, onHead)
	return 0
}

// appendOffers appends the values of the Upgrade lines.
func (w *HeadWriter) appendOffers(list []byte) []byte {
	for line := range bytes.SplitSeq(w.dst[w.fields:], []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(": "))
		if fieldOf(name) == FieldUpgrade {
			list = append(append(list, value...), ',')
		}
	}
	return list
}

// question returns what reading the response depends on.
func (w *HeadWriter) question(last bool) (f facts) {
	set := func(bit facts, on bool) {
		if on {
			f |= bit
		}
	}
	set(askedHead, w.method == MethodHead)
	set(askedTunnel, w.method == MethodConnect)
	set(offeredUpgrade, w.upgrades > 0)
	set(offeredCoding, w.has&offersCoding != 0)
	set(saidClose, last)
	return f
}
