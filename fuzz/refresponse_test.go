package fuzz_test

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// This file is a second opinion on what a server's bytes mean to a client: a
// parser of whole inputs, written from the ABNF of RFC 9110 and 9112 by someone
// who had not read h1. It shares no code with h1, nor with the parser of requests
// beside it, and names codes by their text. It is simple on purpose: where the
// two disagree, one has misread the standard.
//
// A line is judged when its end has come, a field line when the byte behind its
// end shows that no other line continues it. The first fault is the fault. It has
// several names where no document says which comes first:
//   - two faults in one chunk-size line or one group of framing fields;
//   - a faulty line, or a faulty byte, that stands where a limit does;
//   - a field line over the limit on their number that is faulty itself;
//   - a CR behind the last response that is no empty line's, or one line's too many;
//   - a third empty line where a status-line should be;
//   - a control character that CTLValues allows, but not there.

// refRespParse reads all that a server sends before it closes, or before the
// connection breaks.
func refRespParse(in []byte, s refRespSetup) (res refRespResult) {
	fail := func(fault ...string) refRespResult {
		res.end, res.faults = refRespFailed, fault
		return res
	}
	requests, infos := s.requests, 0
	for {
		empty := 0 // lines before a status-line
		for empty < 2 && bytes.HasPrefix(in, refRespCRLF) {
			in, empty = in[2:], empty+1
		}
		if len(requests) == 0 {
			switch {
			case len(in) == 0:
				res.end = refRespClean
				return res
			case string(in) == "\r" && empty < 2:
				return fail("UnexpectedEOF")
			case string(in) == "\r":
				return fail("UnexpectedEOF", "Unsolicited")
			case in[0] == '\r' && in[1] != '\n':
				return fail("BareCR", "Unsolicited")
			}
			return fail("Unsolicited")
		}
		req := requests[0]
		r, rest, fault := refRespHead(in, s)
		if fault != nil {
			return fail(fault...)
		}
		in = rest

		fault = refRespEmptyMembers(r.fields)
		switch {
		case r.status == 101:
			if !req.offersUpgrade || refRespValues(r.fields, "upgrade") == nil {
				fault = append(fault, "NotOffered")
			}
			for _, protocol := range refRespMembers(refRespValues(r.fields, "upgrade")) {
				if p := refRespLower(protocol); p != "" && p != "x" && p != "y" { // what every offer names
					fault = append(fault, "NotOffered")
				}
			}
			r.switched = true
		case r.status < 200:
			if infos++; infos > s.limits.maxInfo {
				fault = append(fault, "TooManyInfo")
			}
			r.info = true
		case req.method == "CONNECT" && r.status < 300:
			r.switched = true
		}
		if fault != nil {
			return fail(fault...)
		}
		if r.info || r.switched {
			r.complete = true
			res.responses = append(res.responses, r)
			if r.switched {
				res.end, res.left = refRespSwitched, len(in)
				return res
			}
			continue
		}

		length := int64(0)
		r.keepAlive = refRespPersists(r, req)
		if req.method != "HEAD" && r.status != 204 && r.status != 304 {
			length, fault = refRespFraming(&r, req, s)
		}
		if fault != nil {
			return fail(fault...)
		}
		in, fault = refRespContent(&r, length, in, s)
		r.complete = fault == nil
		res.responses = append(res.responses, r)
		switch {
		case fault != nil:
			return fail(fault...)
		case !r.keepAlive:
			res.end, res.left = refRespClosing, len(in)
			return res
		}
		requests, infos = requests[1:], 0
	}
}

var refRespCRLF = []byte("\r\n")

// refRespSection is a head or a trailer section while its lines are taken off.
type refRespSection struct {
	in   []byte
	left int // bytes of in that the section may still take
	end  int // length of the last line's end
	// foldedName: the last field line is folded before its colon, where no fold can be.
	foldedName bool
	maxLines   int      // field lines
	tooLarge   string   // what is wrong if left does not suffice
	refused    []string // field names in lower case
	flags      refRespFlags
}

// line takes a line and its end. When there is a fault, text is what stands
// before it.
func (s *refRespSection) line() (text string, fault []string) {
	i := 0
	for i < len(s.in) && (!refRespCTL(s.in[i]) || s.flags.CTLValues && strings.IndexByte("\x00\r\n", s.in[i]) < 0) {
		i++
	}
	text, after := string(s.in[:i]), s.in[i:]
	switch {
	case i > s.left:
		return text, []string{s.tooLarge}
	case len(after) == 0:
		return text, []string{"UnexpectedEOF"}
	case bytes.HasPrefix(after, refRespCRLF):
		s.end = 2
	case after[0] == '\n' && s.flags.LFResponses:
		s.end = 1
	case string(after) == "\r":
		fault = []string{"UnexpectedEOF"}
	case after[0] == '\r':
		fault = []string{"BareCR"}
	case after[0] == '\n':
		fault = []string{"BareLF"}
	default:
		fault = []string{"Control"}
	}
	switch {
	case fault != nil && i == s.left:
		return text, append(fault, s.tooLarge)
	case fault != nil:
		return text, fault
	case i+s.end > s.left:
		return text, []string{s.tooLarge}
	}
	s.in, s.left = s.in[i+s.end:], s.left-i-s.end
	return text, nil
}

// fieldLine takes a field line and the lines that continue it, and puts SP for
// every obs-fold (RFC 9112 5.2).
func (s *refRespSection) fieldLine() (line string, fault []string) {
	s.foldedName = false
	line, fault = s.line()
	for fault == nil && line != "" {
		switch {
		case len(s.in) == 0:
			return line, []string{"UnexpectedEOF"}
		case s.left == 0, s.in[0] != ' ' && s.in[0] != '\t':
			return line, nil
		}
		s.foldedName = s.foldedName || !strings.Contains(line, ":")
		fold, next := s.end, ""
		next, fault = s.line()
		before, behind := strings.TrimRight(line, refRespWS), strings.TrimLeft(next, refRespWS)
		line = before + strings.Repeat(" ", len(line)-len(before)+fold+len(next)-len(behind)) + behind
	}
	return line, fault
}

// fields takes field lines up to and with the blank line (RFC 9112 5).
func (s *refRespSection) fields() (fields []refRespField, fault []string) {
	for {
		line, fault := s.fieldLine()
		if fault == nil && line == "" {
			for _, f := range fields { // rules about fields come when all lines are known
				if slices.Contains(s.refused, refRespLower(f.name)) {
					return nil, []string{"TrailerField"}
				}
			}
			return fields, nil
		}
		f, malformed := s.field(line)
		if fault == nil && malformed != "" {
			fault = []string{malformed}
			if s.left == 0 {
				fault = append(fault, s.tooLarge) // the byte that ended the line is over it
			}
		}
		if name, _, _ := strings.Cut(line, ":"); refRespAnyCTL(name) {
			fault = append(fault, "Control")
		}
		if line != "" && len(fields) == s.maxLines {
			fault = append(fault, "TooManyFields")
		}
		if fault != nil {
			return nil, fault
		}
		fields = append(fields, f)
	}
}

// field reads field-name ":" OWS field-value OWS (RFC 9112 5). Only the first line
// of a section can begin with whitespace: any other would continue one.
func (s *refRespSection) field(line string) (f refRespField, fault string) {
	if line != strings.TrimLeft(line, refRespWS) {
		return f, "LeadingSpace"
	}
	before, value, colon := strings.Cut(line, ":")
	f.name, f.value = strings.TrimRight(before, refRespWS), strings.Trim(value, refRespWS)
	switch rest, ok := refRespToken(f.name); {
	case !colon || !ok || rest != "" || s.foldedName:
		return f, "FieldName"
	case f.name != before && !s.flags.StripNameSpace:
		return f, "SpaceBeforeColon"
	}
	return f, ""
}

// refRespHead takes a status-line and a header section (RFC 9112 2.1).
func refRespHead(in []byte, setup refRespSetup) (r refResponse, rest []byte, fault []string) {
	s := &refRespSection{in: in, left: setup.limits.maxHead, tooLarge: "HeadTooLarge",
		maxLines: setup.limits.maxFields, flags: setup.flags}
	r.framing = refRespNoContent
	line, fault := s.line()
	if fault == nil {
		fault = refRespStatusLine(&r, line)
	}
	if refRespAnyCTL(line) {
		fault = append(fault, "Control")
	}
	if fault != nil {
		return r, nil, fault
	}
	r.fields, fault = s.fields()
	return r, s.in, fault
}

// refRespStatusLine reads HTTP-version SP status-code [ SP reason-phrase ]
// (RFC 9112 4). The second SP is not optional in the RFC, and often missing.
func refRespStatusLine(r *refResponse, line string) (fault []string) {
	version, ok := strings.CutPrefix(line, "HTTP/")
	switch {
	case line == "": // one empty line too many
		return []string{"Version", "StatusLine"}
	case !ok || len(version) < 3 || !refRespDigits(version[:1]) || version[1] != '.' || !refRespDigits(version[2:3]):
		return []string{"Version"}
	case version[0] != '1' && len(version) > 3 && version[3] != ' ':
		return []string{"VersionMajor", "Version"}
	case version[0] != '1':
		return []string{"VersionMajor"}
	}
	if r.version = 11; version[2] == '0' {
		r.version = 10
	}
	if len(version) > 3 && version[3] != ' ' { // a longer version, or no SP behind it
		return []string{"StatusLine", "Version"}
	}
	code, ok := strings.CutPrefix(version[3:], " ")
	if !ok || len(code) < 3 || !refRespDigits(code[:3]) || code[0] == '0' {
		return []string{"StatusLine"}
	}
	r.status, _ = strconv.Atoi(code[:3])
	r.reason, ok = strings.CutPrefix(code[3:], " ")
	if !ok && len(code) > 3 || refRespAnyCTL(r.reason) {
		return []string{"StatusLine"}
	}
	return nil
}

// refRespValues returns the values of all lines with that name in lower case.
func refRespValues(fields []refRespField, name string) (values []string) {
	for _, f := range fields {
		if refRespLower(f.name) == name {
			values = append(values, f.value)
		}
	}
	return values
}

// refRespMembers splits the values of all lines of a list (RFC 9110 5.6.1). An
// empty line has one member, which is empty.
func refRespMembers(values []string) (members []string) {
	for _, v := range values {
		for member := range strings.SplitSeq(v, ",") {
			members = append(members, strings.Trim(member, refRespWS))
		}
	}
	return members
}

// refRespEmptyMembers finds a list that has more empty members than a peer would
// write (RFC 9110 5.6.1.2).
func refRespEmptyMembers(fields []refRespField) (fault []string) {
	for _, name := range []string{"connection", "upgrade", "expect", "trailer"} {
		empty := 0
		for _, v := range refRespValues(fields, name) {
			for _, member := range refRespMembers([]string{v}) {
				if member == "" && v != "" {
					empty++
				}
			}
		}
		if empty > 32 {
			return []string{"EmptyMembers"}
		}
	}
	return nil
}

// refRespPersists reports whether the connection outlives the response, as far as
// its fields tell (RFC 9112 9.3).
func refRespPersists(r refResponse, req refRespRequest) bool {
	keep := r.version == 11
	for _, option := range refRespMembers(refRespValues(r.fields, "connection")) {
		switch refRespLower(option) {
		case "close":
			return false
		case "keep-alive":
			keep = true
		}
	}
	return keep && !req.close
}
