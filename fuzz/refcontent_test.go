package fuzz_test

import (
	"bytes"
	"postern/h1"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// refCoding is a transfer-coding that another follows (RFC 9112 7).
var refCoding = regexp.MustCompile(`^(` + refToken + `)(?:` + refBWS + `;` + refBWS + refToken +
	refBWS + `=` + refBWS + `(?:` + refToken + `|` + refQuoted + `))*` + refBWS + `,` + refBWS)

// refTransferEncoding checks a value: exactly "chunked" is understood, before it
// other codings are well formed and unknown, all else is malformed.
func refTransferEncoding(value string) (fault refFault) {
	value = refLatin1(value)
	for m := refCoding.FindStringSubmatch(value); m != nil; m = refCoding.FindStringSubmatch(value) {
		code := h1.ErrTransferCoding
		if strings.EqualFold(m[1], "chunked") {
			code = h1.ErrTransferEncoding // twice, or not last
		}
		fault, value = append(fault, code), value[len(m[0]):]
	}
	if !strings.EqualFold(value, "chunked") {
		return refFault{h1.ErrTransferEncoding}
	}
	return fault
}

var refLength = regexp.MustCompile(`^[0-9]{1,19}$`)

// refFraming finds where the content ends (RFC 9112 6).
func refFraming(req *refRequest, maxBody int64) (length int64, fault refFault) {
	codings, lengths := refValues(req.fields, "Transfer-Encoding"), refValues(req.fields, "Content-Length")
	if len(codings) > 0 {
		req.framing = h1.FramingChunked
		if req.version == h1.HTTP10 {
			fault = append(fault, h1.ErrTransferEncoding10)
		}
		if len(lengths) > 0 {
			fault = append(fault, h1.ErrLengthAndEncoding)
		}
		if req.method == "CONNECT" {
			fault = append(fault, h1.ErrConnectContent)
		}
		if len(codings) > 1 {
			fault = append(fault, h1.ErrTransferEncoding)
		}
		for _, v := range codings {
			fault = append(fault, refTransferEncoding(v)...)
		}
		return 0, fault
	}
	if len(lengths) == 0 {
		return 0, nil
	}
	req.framing = h1.FramingLength
	if len(lengths) > 1 {
		fault = append(fault, h1.ErrContentLengths)
	}
	for _, v := range lengths {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || !refLength.MatchString(v) {
			fault = append(fault, h1.ErrContentLength)
			continue
		}
		if n > maxBody {
			fault = append(fault, h1.ErrBodyTooLarge)
		}
		if n > 0 && req.method == "CONNECT" {
			fault = append(fault, h1.ErrConnectContent)
		}
		length = n
	}
	return length, fault
}

// refContent takes a request's content and trailer section (RFC 9112 6.3).
func refContent(req *refRequest, length int64, in []byte, cfg h1.Config) (rest []byte, fault refFault) {
	switch req.framing {
	case h1.FramingLength:
		if int64(len(in)) < length {
			req.content = string(in)
			return nil, refFault{h1.ErrUnexpectedEOF}
		}
		req.content, rest = string(in[:length]), in[length:]
	case h1.FramingChunked:
		if rest, fault = refChunks(req, in, cfg); fault != nil {
			return nil, fault
		}
	default:
		rest = in
	}
	req.complete = true
	return rest, nil
}

const (
	refQuoted = `"(?:[\t !#-\[\]-~\x{80}-\x{ff}]|\\[\t -~\x{80}-\x{ff}])*"` // RFC 9110 5.6.4
	refBWS    = `[ \t]*`
)

var (
	refChunkSize = regexp.MustCompile(`^([0-9A-Fa-f]{1,16})(` + refBWS + `;.*)?$`)
	refChunkExt  = regexp.MustCompile(`^(?:` + refBWS + `;` + refBWS + refToken +
		`(?:` + refBWS + `=` + refBWS + `(?:` + refToken + `|` + refQuoted + `))?)*$`) // RFC 9112 7.1.1
)

// refChunks takes chunks, the last-chunk and the trailer section (RFC 9112 7.1).
func refChunks(req *refRequest, in []byte, cfg h1.Config) (rest []byte, fault refFault) {
	overhead := int64(0) // of chunk-size lines over what each has for nothing
	for {
		var line string
		if i := bytes.IndexAny(in, "\r\n"); i < 0 || string(in[i:]) == "\r" {
			line, fault = string(in), refFault{h1.ErrUnexpectedEOF}
		} else if line = string(in[:i]); in[i] == '\n' {
			fault = refFault{h1.ErrBareLF}
		} else if in[i+1] != '\n' {
			fault = refFault{h1.ErrBareCR}
		} else {
			in = in[i+2:]
		}
		if len(line) > cfg.MaxChunkLine {
			fault = append(fault, h1.ErrChunkLineTooLong)
		}
		size := int64(0)
		if m := refChunkSize.FindStringSubmatch(refLatin1(line)); m == nil {
			fault = append(fault, h1.ErrChunkSize)
		} else if n, err := strconv.ParseInt(m[1], 16, 64); err != nil {
			fault = append(fault, h1.ErrChunkSize)
		} else if !refChunkExt.MatchString(m[2]) {
			fault = append(fault, h1.ErrChunkExtension)
		} else if size = n; size > cfg.MaxBody-int64(len(req.content)) {
			fault = append(fault, h1.ErrBodyTooLarge)
		}
		overhead += max(0, int64(len(line)+2)-16-2*min(size, 1<<30))
		if overhead > int64(cfg.MaxChunkOverhead) {
			fault = append(fault, h1.ErrChunkOverhead)
		}
		if fault != nil {
			return nil, fault
		}
		if size == 0 {
			return refTrailer(req, in, cfg)
		}
		if int64(len(in)) < size {
			req.content += string(in)
			return nil, refFault{h1.ErrUnexpectedEOF}
		}
		req.content += string(in[:size])
		switch in = in[size:]; {
		case len(in) == 0 || string(in) == "\r":
			return nil, refFault{h1.ErrUnexpectedEOF}
		case !bytes.HasPrefix(in, refCRLF):
			return nil, refFault{h1.ErrChunkEnd}
		}
		in = in[2:]
	}
}

// refLatin1 makes every byte a rune, so that a regexp sees bytes and EqualFold
// finds no letters beyond ASCII that fold into it.
func refLatin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// refNoTrailer lists fields of framing, connection management, routing, request
// control and authentication (RFC 9110 6.5.1), which h1 refuses in a trailer
// section.
var refNoTrailer = []string{
	"authorization", "connection", "content-length", "cookie", "expect", "host", "keep-alive", "max-forwards",
	"proxy-authorization", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade",
}

// refTrailer takes the trailer section (RFC 9112 7.1.2).
func refTrailer(req *refRequest, in []byte, cfg h1.Config) (rest []byte, fault refFault) {
	s := &refSection{in, cfg.MaxTrailer, h1.ErrTrailerTooLarge}
	fields, malformed := s.fields(cfg.MaxTrailerFields)
	for _, f := range fields {
		if slices.Contains(refNoTrailer, strings.ToLower(f.name)) {
			fault = refFault{h1.ErrTrailerField}
		}
	}
	if fault = append(fault, malformed...); fault == nil {
		req.trailer = fields
	}
	return s.in, fault
}
