package fuzz_test

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
)

// refRespFraming finds where the content ends (RFC 9112 6.3).
func refRespFraming(r *refResponse, req refRespRequest, s refRespSetup) (length int64, fault []string) {
	codings, lengths := refRespValues(r.fields, "transfer-encoding"), refRespValues(r.fields, "content-length")
	switch {
	case codings != nil:
		if r.version == 10 {
			fault = append(fault, "TransferEncoding10")
		}
		if lengths != nil && !s.flags.AcceptCLTE {
			fault = append(fault, "LengthAndEncoding")
		}
		if len(codings) > 1 {
			fault = append(fault, "TransferEncoding")
		}
		for _, v := range codings {
			framing, unknown := refRespTransferEncoding(v, req.offersTE)
			if r.framing = framing; unknown != "" {
				fault = append(fault, unknown)
			}
		}
		if lengths != nil {
			r.keepAlive = false
		}
	case lengths != nil:
		r.framing = refRespByLength
		length, fault = refRespLength(lengths, s.limits.maxBody)
	default:
		r.framing = refRespUntilClose
	}
	if r.framing == refRespUntilClose {
		r.keepAlive = false
	}
	return length, fault
}

// refRespTransferEncoding reads the one line of Transfer-Encoding: "chunked", or
// what the request offered to take (RFC 9112 6.1, 7.4).
func refRespTransferEncoding(value string, offered bool) (framing refRespFrame, fault string) {
	if refRespLower(value) == "chunked" {
		return refRespChunked, ""
	}
	codings, ok := refRespCodings(value)
	chunked := slices.Index(codings, "chunked")
	switch {
	case !ok || slices.Contains(codings, "chunked;"):
		return "", "TransferEncoding"
	case chunked < 0 && offered:
		return refRespUntilClose, ""
	case chunked < len(codings)-1: // absent, twice, or not last
		return "", "TransferEncoding"
	case offered:
		return refRespChunked, ""
	}
	return "", "TransferCoding"
}

// refRespCodings reads a list of transfer-coding without empty members (RFC 9110
// 10.1.4): their names in lower case, with ";" behind one that has parameters.
func refRespCodings(s string) (codings []string, ok bool) {
	for {
		rest, ok := refRespToken(s)
		if !ok {
			return nil, false
		}
		name := refRespLower(s[:len(s)-len(rest)])
		for {
			param, ok := refRespAfter(rest, ";")
			if !ok {
				break
			}
			name = strings.TrimSuffix(name, ";") + ";"
			if param, ok = refRespToken(strings.TrimLeft(param, refRespWS)); !ok {
				return nil, false
			}
			if param, ok = refRespAfter(param, "="); !ok {
				return nil, false
			}
			if rest, ok = refRespWord(param); !ok {
				return nil, false
			}
		}
		codings = append(codings, name)
		if strings.Trim(rest, refRespWS) == "" {
			return codings, true
		}
		if s, ok = refRespAfter(rest, ","); !ok {
			return nil, false
		}
		s = strings.TrimLeft(s, refRespWS)
	}
}

// refRespLength reads Content-Length, where one value may come several times
// (RFC 9110 8.6).
func refRespLength(values []string, maxBody int64) (length int64, fault []string) {
	members := refRespMembers(values)
	for _, v := range members {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || !refRespDigits(v) || len(v) > 19 || v != members[0] {
			return 0, []string{"ContentLength", "ContentLengths"}
		}
		length = n
	}
	if length > maxBody {
		return 0, []string{"BodyTooLarge"}
	}
	return length, nil
}

// refRespContent takes a response's content and trailer section (RFC 9112 6.3).
func refRespContent(r *refResponse, length int64, in []byte, s refRespSetup) (rest []byte, fault []string) {
	switch r.framing {
	case refRespByLength:
		if int64(len(in)) < length {
			r.content = string(in)
			return nil, []string{"UnexpectedEOF"}
		}
		r.content = string(in[:length])
		return in[length:], nil
	case refRespChunked:
		return refRespChunks(r, in, s)
	case refRespUntilClose:
		r.content = string(in[:min(int64(len(in)), s.limits.maxBody)])
		switch {
		case len(r.content) < len(in):
			return nil, []string{"BodyTooLarge"}
		case s.failed:
			return nil, []string{"UnexpectedEOF"}
		}
		return nil, nil
	}
	return in, nil
}

// refRespChunks takes chunks, the last-chunk and the trailer section (RFC 9112 7.1).
func refRespChunks(r *refResponse, in []byte, s refRespSetup) (rest []byte, fault []string) {
	overhead := int64(0)
	for {
		line, rest, fault := refRespChunkLine(in, s.limits.maxChunkLine)
		if fault != nil {
			return nil, fault
		}
		size, fault := refRespChunkSize(line, s.flags)
		if slices.Contains(fault, "ChunkSize") {
			return nil, fault
		}
		if size > s.limits.maxBody-int64(len(r.content)) {
			fault = append(fault, "BodyTooLarge")
		}
		overhead = max(0, overhead+int64(len(line)+2)-16-2*min(size, math.MaxInt32))
		if overhead > int64(s.limits.maxChunkOverhead) {
			fault = append(fault, "ChunkOverhead")
		}
		switch {
		case fault != nil:
			return nil, fault
		case size == 0:
			return refRespTrailer(r, rest, s)
		case int64(len(rest)) < size:
			r.content += string(rest)
			return nil, []string{"UnexpectedEOF"}
		}
		r.content += string(rest[:size])
		switch in = rest[size:]; {
		case len(in) == 0, string(in) == "\r":
			return nil, []string{"UnexpectedEOF"}
		case !bytes.HasPrefix(in, refRespCRLF):
			return nil, []string{"ChunkEnd"}
		}
		in = in[2:]
	}
}

// refRespChunkLine takes a chunk-size line and its CRLF.
func refRespChunkLine(in []byte, maxLine int) (line string, rest []byte, fault []string) {
	i := bytes.IndexAny(in, "\r\n")
	if i < 0 {
		i = len(in)
	}
	switch after := in[i:]; {
	case i > maxLine:
		return "", nil, []string{"ChunkLineTooLong"}
	case len(after) == 0, string(after) == "\r":
		return "", nil, []string{"UnexpectedEOF"}
	case bytes.HasPrefix(after, refRespCRLF):
		return string(in[:i]), after[2:], nil
	case after[0] == '\r':
		return "", nil, []string{"BareCR"}
	case i == maxLine:
		return "", nil, []string{"BareLF", "ChunkLineTooLong"}
	}
	return "", nil, []string{"BareLF"}
}

// refRespChunkSize reads chunk-size [ chunk-ext ] (RFC 9112 7.1).
func refRespChunkSize(line string, flags refRespFlags) (size int64, fault []string) {
	ext := strings.TrimLeft(line, "0123456789ABCDEFabcdef")
	digits := line[:len(line)-len(ext)]
	size, err := strconv.ParseInt(digits, 16, 64)
	if err != nil || len(digits) > 16 {
		return 0, []string{"ChunkSize"}
	}
	switch behind := strings.TrimLeft(ext, refRespWS); {
	case ext == "", behind == "" && flags.ChunkSizeSpace:
		return size, nil
	case !strings.HasPrefix(behind, ";"):
		return 0, []string{"ChunkSize"}
	case !refRespChunkExt(ext):
		return size, []string{"ChunkExtension"}
	}
	return size, nil
}

// refRespTrailer takes the trailer section (RFC 9112 7.1.2). It refuses fields of
// framing, connection management, routing, request control and authentication
// (RFC 9110 6.5.1).
func refRespTrailer(r *refResponse, in []byte, setup refRespSetup) (rest []byte, fault []string) {
	s := &refRespSection{in: in, left: setup.limits.maxTrailer, tooLarge: "TrailerTooLarge",
		maxLines: setup.limits.maxTrailerFields, flags: setup.flags, refused: []string{
			"transfer-encoding", "content-length", "trailer", "te", "host", "connection", "keep-alive", "upgrade", "expect",
			"max-forwards", "authorization", "proxy-authorization", "cookie", "set-cookie",
		}}
	r.trailer, fault = s.fields()
	return s.in, fault
}
