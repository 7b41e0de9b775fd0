package fuzz_test

import (
	"bytes"
	"math"
	"regexp"
	"strconv"
	"strings"

	"postern/h1"
)

// This file is a second opinion on what a client's bytes mean: a parser of whole
// inputs, written from the ABNF of RFC 9110, 9112 and 3986 and from what h1's
// documentation promises, by someone who had not read h1. It shares h1's names
// for limits, codes and enumerations, and no code. It is simple on purpose: where
// the two disagree, one has misread the standard.

// refFault names what is wrong. One code is exact: the input breaks that rule and
// no other. Several mean that it breaks several and that no document says which
// comes first: then h1 may name any of them, and answer with its status. These
// are
//   - two faults in one request-line, chunk-size line or group of framing fields,
//     or in a line whose end is where a limit stands;
//   - a field line over the limit on their number that is faulty itself;
//   - a well-formed line that says something impossible (HTTP/3.0, "GET *", Host in
//     a trailer section) before a malformed one, since the first may show at its
//     own line or at the blank line;
//   - an authority that is none, which is a fault of a target and of a host.
type refFault = []h1.Code

// refServer reads all that a client sends before it closes its side.
func refServer(in []byte, cfg h1.Config) (res refResult) {
	cfg = refDefaults(cfg)
	for {
		for range 2 { // RFC 9112 2.2: empty lines before a request-line
			in = bytes.TrimPrefix(in, refCRLF)
		}
		if len(in) == 0 {
			res.end = refClean
			return res
		}
		req, length, rest, fault := refHead(in, cfg)
		if fault == nil {
			rest, fault = refContent(&req, length, rest, cfg)
			res.requests = append(res.requests, req)
		}
		switch {
		case fault != nil:
			res.end, res.faults = refFailed, fault
			return res
		case !req.keepAlive:
			res.end, res.left = refClosing, len(rest)
			return res
		}
		in = rest
	}
}

// refDefaults replaces what Config's doc comment gives a meaning to: zero is
// the default, and a negative value is no limit.
func refDefaults(c h1.Config) h1.Config {
	set := func(limit *int, def int) {
		if *limit == 0 {
			*limit = def
		} else if *limit < 0 {
			*limit = math.MaxInt / 4 // far away, and safe to add to
		}
	}
	set(&c.MaxTarget, 8192)
	set(&c.MaxHead, 65536)
	set(&c.MaxFields, 100)
	set(&c.MaxTrailer, 8192)
	set(&c.MaxTrailerFields, 32)
	set(&c.MaxChunkLine, 256)
	set(&c.MaxChunkOverhead, 16384)
	if c.MaxBody <= 0 {
		c.MaxBody = math.MaxInt64
	}
	return c
}

var refCRLF = []byte("\r\n")

// refControls is CTL without HTAB (RFC 5234 B.1).
const refControls = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0a\x0b\x0c\x0d\x0e\x0f" +
	"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f"

// refSection is a head or a trailer section while its lines are taken off.
type refSection struct {
	in       []byte
	left     int     // bytes of in that the section may still take
	tooLarge h1.Code // what is wrong if they do not suffice
}

// line takes a line and its CRLF: text up to the first control character. When
// only the CRLF is over the limit, the line comes with that fault.
func (s *refSection) line() (line string, fault refFault) {
	i := bytes.IndexAny(s.in, refControls)
	switch {
	case i > s.left, i < 0 && len(s.in) > s.left:
		return "", refFault{s.tooLarge}
	case i < 0 || string(s.in[i:]) == "\r":
		return "", refFault{h1.ErrUnexpectedEOF}
	case bytes.HasPrefix(s.in[i:], refCRLF):
		line, s.in = string(s.in[:i]), s.in[i+2:]
		if s.left -= i + 2; s.left < 0 {
			return line, refFault{s.tooLarge}
		}
		return line, nil
	case s.in[i] == '\r':
		fault = refFault{h1.ErrBareCR}
	case s.in[i] == '\n':
		fault = refFault{h1.ErrBareLF}
	default:
		fault = refFault{h1.ErrControl}
	}
	if i == s.left {
		fault = append(fault, s.tooLarge)
	}
	return "", fault
}

// startLine is line for a request-line, which has a limit of its own: the
// longest method, target and version with two SP.
func (s *refSection) startLine(maxTarget int) (line string, fault refFault) {
	limit := 32 + 1 + maxTarget + 1 + len("HTTP/1.1")
	text := bytes.IndexAny(s.in, refControls)
	if text < 0 {
		text = len(s.in)
	}
	tooLong := h1.ErrMethodTooLong
	if bytes.Contains(s.in[:min(33, len(s.in))], []byte(" ")) {
		tooLong = h1.ErrTargetTooLong
	}
	if text > limit && limit < s.left {
		return "", refFault{tooLong}
	}
	line, fault = s.line()
	if text >= limit && fault != nil && fault[0] != h1.ErrUnexpectedEOF {
		fault = append(fault, tooLong)
	}
	return line, fault
}

// fields takes field lines up to and with the blank line (RFC 9112 5).
func (s *refSection) fields(maxLines int) (fields []refField, fault refFault) {
	for {
		line, fault := s.line()
		if fault == nil && line == "" {
			return fields, nil
		}
		if line != "" {
			fault = append(fault, refFieldLine(len(fields), line)...)
		}
		if len(fields) == maxLines {
			fault = append(fault, h1.ErrTooManyFields)
		}
		if fault != nil {
			return fields, fault
		}
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, refField{name, strings.Trim(value, " \t")})
	}
}

const refToken = "[-!#$%&'*+.^_`|~0-9A-Za-z]+" // RFC 9110 5.6.2

var (
	refTokenOnly  = regexp.MustCompile(`^` + refToken + `$`)
	refSpacedName = regexp.MustCompile(`^` + refToken + `[ \t]+:`)
)

// refFieldLine checks field-name ":" OWS field-value OWS (RFC 9112 5).
func refFieldLine(i int, line string) refFault {
	name, _, colon := strings.Cut(line, ":")
	switch space := line[0] == ' ' || line[0] == '\t'; {
	case space && i == 0:
		return refFault{h1.ErrLeadingSpace}
	case space:
		return refFault{h1.ErrObsFold}
	case refSpacedName.MatchString(line):
		return refFault{h1.ErrSpaceBeforeColon}
	case !colon || !refTokenOnly.MatchString(name):
		return refFault{h1.ErrFieldName}
	}
	return nil
}

// refValues returns the values of all lines with that name.
func refValues(fields []refField, name string) (values []string) {
	for _, f := range fields {
		if strings.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return values
}

// refListed reports whether a list of tokens over several lines names one
// (RFC 9110 5.6.1).
func refListed(values []string, token string) bool {
	for _, member := range strings.Split(strings.Join(values, ","), ",") {
		if strings.EqualFold(refLatin1(strings.Trim(member, " \t")), token) {
			return true
		}
	}
	return false
}

// refModeration bounds the empty members of the lists that a server reads (RFC
// 9110 5.6.1.2, row 25): 32 for each field.
func refModeration(fields []refField) (fault refFault) {
	for _, name := range []string{"Connection", "Upgrade", "Expect", "Trailer"} {
		empty := 0
		for _, value := range refValues(fields, name) {
			if value == "" {
				continue
			}
			for _, member := range strings.Split(value, ",") {
				if strings.Trim(member, " \t") == "" {
					empty++
				}
			}
		}
		if empty > 32 {
			fault = append(fault, h1.ErrEmptyMembers)
		}
	}
	return fault
}

// refHead takes a request-line and a header section, and judges them.
func refHead(in []byte, cfg h1.Config) (req refRequest, length int64, rest []byte, fault refFault) {
	s := &refSection{in, cfg.MaxHead, h1.ErrHeadTooLarge}
	line, fault := s.startLine(cfg.MaxTarget)
	if fault != nil && line == "" {
		return req, 0, nil, fault
	}
	if malformed := refRequestLine(line, cfg.MaxTarget); malformed != nil {
		return req, 0, nil, append(fault, malformed...)
	}
	part := strings.Split(line, " ")
	req.method, req.target = part[0], part[1]
	fault = append(fault, refMeaning(&req, part[2])...)
	fields, malformed := s.fields(cfg.MaxFields)
	if fault = append(fault, malformed...); fault != nil {
		return req, 0, nil, fault
	}
	req.fields = fields
	if fault = refHost(&req); fault == nil {
		fault = refModeration(fields)
	}
	if fault == nil {
		length, fault = refFraming(&req, cfg.MaxBody)
	}
	connection := refValues(fields, "Connection")
	req.keepAlive = !refListed(connection, "close") &&
		(req.version == h1.HTTP11 || refListed(connection, "keep-alive")) // RFC 9112 9.3
	return req, length, s.in, fault
}

var (
	refTarget  = regexp.MustCompile(`^[!"$-~]+$`) // VCHAR without "#"
	refVersion = regexp.MustCompile(`^HTTP/[0-9]\.[0-9]$`)
)

// refRequestLine checks method SP request-target SP HTTP-version (RFC 9112 3).
func refRequestLine(line string, maxTarget int) (fault refFault) {
	part := append(strings.SplitN(line, " ", 3), "", "")
	if len(part[0]) > 32 {
		fault = append(fault, h1.ErrMethodTooLong)
	}
	if !refTokenOnly.MatchString(part[0]) || !strings.Contains(line, " ") {
		return append(fault, h1.ErrRequestLine)
	}
	if len(part[1]) > maxTarget {
		fault = append(fault, h1.ErrTargetTooLong)
	}
	if !refTarget.MatchString(part[1]) {
		fault = append(fault, h1.ErrTarget)
	}
	if !refVersion.MatchString(part[2]) {
		fault = append(fault, h1.ErrVersion)
	}
	return fault
}

// refMeaning checks that we speak the version (RFC 9112 2.3) and that the target
// has a form that suits the method (RFC 9112 3.2).
func refMeaning(req *refRequest, version string) refFault {
	switch {
	case req.method+req.target+version == "PRI*HTTP/2.0":
		return refFault{h1.ErrHTTP2Preface}
	case !strings.HasPrefix(version, "HTTP/1."):
		return refFault{h1.ErrVersionMajor}
	}
	if req.version = h1.HTTP11; version == "HTTP/1.0" {
		req.version = h1.HTTP10
	}
	absolute := refAbsolute.FindStringSubmatch(req.target)
	switch {
	case req.method == "CONNECT":
		host := refHostPort.FindStringSubmatch(req.target)
		if host == nil || host[1] == "" || !refPort(host[2]) {
			return refFault{h1.ErrTarget, h1.ErrHost}
		}
		req.authority = req.target
	case req.target == "*" && req.method == "OPTIONS", req.target[0] == '/':
	case absolute != nil:
		host := refHostPort.FindStringSubmatch(absolute[1])
		if host == nil || host[1] == "" {
			return refFault{h1.ErrTarget, h1.ErrHost}
		}
		req.authority = absolute[1]
	default:
		return refFault{h1.ErrTarget}
	}
	return nil
}

// refAbsolute is an absolute-URI with an authority (RFC 3986 4.3).
var refAbsolute = regexp.MustCompile(`^[A-Za-z][-A-Za-z0-9+.]*://([^/?]*)`)

const (
	refRegName   = "(?:[-A-Za-z0-9._~!$&'()*+;=]|%[0-9A-Fa-f]{2})*" // without ",": a list is no host
	refIPvFuture = "[vV][0-9A-Fa-f]+\\.[-A-Za-z0-9._~!$&'()*+,;=:]+"
	refDecOctet  = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
	refH16       = "[0-9A-Fa-f]{1,4}"
	refH16s      = "(?:" + refH16 + ":)"
	refLS32      = "(?:" + refH16s + refH16 + "|" + refDecOctet + "(?:\\." + refDecOctet + "){3})"
	refIPv6      = refH16s + "{6}" + refLS32 +
		"|::" + refH16s + "{5}" + refLS32 +
		"|(?:" + refH16 + ")?::" + refH16s + "{4}" + refLS32 +
		"|(?:" + refH16s + "{0,1}" + refH16 + ")?::" + refH16s + "{3}" + refLS32 +
		"|(?:" + refH16s + "{0,2}" + refH16 + ")?::" + refH16s + "{2}" + refLS32 +
		"|(?:" + refH16s + "{0,3}" + refH16 + ")?::" + refH16s + refLS32 +
		"|(?:" + refH16s + "{0,4}" + refH16 + ")?::" + refLS32 +
		"|(?:" + refH16s + "{0,5}" + refH16 + ")?::" + refH16 +
		"|(?:" + refH16s + "{0,6}" + refH16 + ")?::"
)

// refHostPort is uri-host [ ":" port ] (RFC 9110 4.2.1, RFC 3986 3.2.2).
var refHostPort = regexp.MustCompile(`^(\[(?:` + refIPv6 + `|` + refIPvFuture + `)\]|` + refRegName + `)(?::([0-9]*))?$`)

func refPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// refHost checks Host (RFC 9112 3.2).
func refHost(req *refRequest) (fault refFault) {
	hosts := refValues(req.fields, "Host")
	if len(hosts) == 0 && req.version == h1.HTTP11 {
		fault = append(fault, h1.ErrHostMissing)
	}
	if len(hosts) > 1 {
		fault = append(fault, h1.ErrHostRepeated)
	}
	for _, host := range hosts {
		if !refHostPort.MatchString(host) {
			fault = append(fault, h1.ErrHost)
		}
	}
	if req.authority == "" && len(hosts) > 0 {
		req.authority = hosts[0]
	}
	return fault
}
