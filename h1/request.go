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

func methodOf(b []byte) Method {
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
	stop := span(line, start, target)
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
	if c.version(h, line, stop+1) < 0 {
		return -1
	}
	return c.target(h, line[start:stop], start)
}

// version parses line[at:], "HTTP/" DIGIT "." DIGIT (RFC 9112 2.3).
func (c *conn) version(h *Head, line []byte, at int) int {
	const prefix = "HTTP/"
	v := line[at:]
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
// the authority in it (RFC 9112 3.2). Only CONNECT has, and must have, an
// authority-form; only OPTIONS may have "*".
func (c *conn) target(h *Head, t []byte, at int) int {
	switch {
	case h.line.method == MethodConnect:
		port, ok := authority(t)
		if !ok || port < 2 || !validPort(t[port:]) {
			return c.fault(ErrTarget, at)
		}
		h.line.form = FormAuthority
		h.line.authOff, h.line.authLen = uint32(at), uint32(len(t))
	case t[0] == '/':
		h.line.form = FormOrigin
	case len(t) == 1 && t[0] == '*' && h.line.method == MethodOptions:
		h.line.form = FormAsterisk
	default:
		return c.absoluteForm(h, t, at)
	}
	return 0
}

// absoluteForm parses scheme "://" authority and leaves what follows alone. An
// empty host and user information are refused (RFC 9110 4.2.1, 4.2.4), and so
// are URIs without an authority: no HTTP resource is named by one.
func (c *conn) absoluteForm(h *Head, t []byte, at int) int {
	i := bytes.IndexByte(t, ':')
	if i < 1 || !is(t[0], alpha) || !bytes.HasPrefix(t[i:], []byte("://")) {
		return c.fault(ErrTarget, at)
	}
	for k, b := range t[:i] {
		if !is(b, alpha|digit) && b != '+' && b != '-' && b != '.' {
			return c.fault(ErrTarget, at+k)
		}
	}
	start := i + 3
	end := start
	for end < len(t) && t[end] != '/' && t[end] != '?' {
		end++
	}
	if port, ok := authority(t[start:end]); !ok || start == end || port == 1 {
		return c.fault(ErrTarget, at+start)
	}
	h.line.form = FormAbsolute
	h.line.authOff, h.line.authLen = uint32(at+start), uint32(end-start)
	return 0
}
