package fuzz_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"postern/h1"
)

// wireResponse is a response as one reader understood it, and where it stood.
type wireResponse struct {
	start   int // offset of the head, behind empty lines
	content int // offset behind the head
	end     int // offset behind the message; -1: it did not end

	request         refRespRequest // what it answers
	version         h1.Version
	status          int
	reason          string
	framing         h1.Framing // h1 only
	fields, trailer http.Header
	body            string
	last            bool // the connection ends with it
}

// String leaves out what no comparison of heads needs.
func (r wireResponse) String() string {
	return fmt.Sprintf("[%d:%d:%d] %v %d %q to %s %q", r.start, r.content, r.end, r.version, r.status, r.reason, r.request.method, r.fields)
}

// switches reports whether other bytes than HTTP's follow the head.
func (r wireResponse) switches() bool {
	return r.status == 101 || r.request.method == "CONNECT" && r.status/100 == 2
}

// readH1Responses reads all responses of a connection with h1.
func readH1Responses(t testing.TB, in []byte, setup refRespSetup) (resps []wireResponse) {
	t.Helper()
	c, sent := refRespOpen(t, setup)
	requests := setup.requests[:sent]
	buf := slices.Clone(in) // folded lines are overwritten
	var resp *wireResponse
	for at := 0; ; {
		ev, n, err := c.Next(buf[at:])
		at += n
		if err != nil {
			return resps
		}
		switch ev.Kind {
		case h1.EventInfo, h1.EventResponse:
			h := c.Response()
			start := at - len(h.Raw())
			_, lines, _ := bytes.Cut(in[start:at], []byte("\n"))
			resps = append(resps, wireResponse{
				start: start, content: at, end: -1, request: requests[0], version: h.Version(),
				status: h.Status(), reason: string(h.Reason()), framing: h.Framing(), fields: stdLines(t, h, lines),
			})
			if resp = &resps[len(resps)-1]; ev.Kind == h1.EventInfo {
				resp.end = at
			}
		case h1.EventData:
			resp.body += string(ev.Data)
		case h1.EventEnd:
			resp.end, resp.last = at, c.ShouldClose()
			resp.trailer = stdLines(t, c.Trailer(), in[at-len(c.Trailer().Raw()):at])
			requests = requests[1:]
		case h1.EventSwitched:
			resp.end = at
			return resps
		case h1.EventClosed:
			return resps
		case h1.EventNeedData:
			if c.CloseInput(); setup.failed {
				c.FailInput()
			}
		default:
			t.Fatalf("%q: unexpected %v", in, ev.Kind)
		}
	}
}

// fieldLines matches a field line with those that continue it.
var fieldLines = regexp.MustCompile(`[^\n]+\n(?:[\t ][^\n]*\n)*`)

// stdLines returns the fields of a section as net/http keeps them. raw is the section,
// with its blank line, as it was before h1 joined folded lines. net/http keeps spaces
// before a colon as part of the name.
func stdLines(t testing.TB, h *h1.Head, raw []byte) http.Header {
	t.Helper()
	lines := fieldLines.FindAllString(string(raw), h.Len())
	if len(lines) < h.Len() {
		t.Fatalf("%d fields in %q", h.Len(), raw)
	}
	m := make(http.Header, h.Len())
	for i, line := range lines {
		_, value := h.At(i)
		name, _, _ := strings.Cut(line, ":")
		m.Add(name, stdFolded(string(value), line))
	}
	return m
}

// stdFolded returns a field value as net/http keeps it. Of a folded line that is not
// h1's, in which a fold is as wide as it was: net/http puts one space for each line end
// with the whitespace around it, even at the end of the value.
func stdFolded(value, line string) string {
	lines := strings.Split(strings.TrimSuffix(line, "\n"), "\n")
	if len(lines) == 1 {
		return value
	}
	for i := range lines {
		lines[i] = strings.Trim(strings.TrimSuffix(lines[i], "\r"), " \t")
	}
	_, folded, _ := strings.Cut(strings.Join(lines, " "), ":")
	folded = strings.TrimLeft(folded, " \t")
	if blanks.ReplaceAllString(value, " ") != blanks.ReplaceAllString(strings.Trim(folded, " "), " ") {
		return value // which is another
	}
	return folded
}

var blanks = regexp.MustCompile(`[\t ]+`)

// readStdResponses reads all responses of a connection with net/http, as its Transport
// does: interim ones until the final one, nothing behind a head that switches
// protocols, and nothing behind a final response if it or the request says close. Two
// differences are made good here: http.ReadResponse does not skip empty lines before
// a status-line; and it limits a trailer section by the size of the bufio.Reader,
// which here holds all that there is.
func readStdResponses(in []byte, requests []refRespRequest) (resps []wireResponse, stop stdStop) {
	src := bytes.NewReader(in)
	br := bufio.NewReaderSize(src, len(in)+1)
	at := func() int { return len(in) - src.Len() - br.Buffered() }
	for len(requests) > 0 {
		for range 2 {
			if b, _ := br.Peek(2); string(b) == "\r\n" {
				br.Discard(2)
			}
		}
		start := at()
		r, err := http.ReadResponse(br, &http.Request{Method: requests[0].method})
		if err != nil {
			return resps, stdStop{stdVerdict(err), err, at()}
		}
		resp := wireResponse{start: start, content: at(), end: -1, request: requests[0], version: h1.HTTP11, status: r.StatusCode, fields: r.Header}
		_, resp.reason, _ = strings.Cut(r.Status, " ")
		if !r.ProtoAtLeast(1, 1) {
			resp.version = h1.HTTP10
		}
		if resp.switches() {
			resp.end = at()
			return append(resps, resp), stdStop{verdict: closing, at: at()}
		}
		body, err := io.ReadAll(r.Body)
		resp.body = string(body)
		if err != nil {
			return append(resps, resp), stdStop{stdVerdict(err), err, at()}
		}
		// What Trailer announces stands in the map even if it never comes.
		maps.DeleteFunc(r.Trailer, func(_ string, values []string) bool { return values == nil })
		resp.end, resp.trailer = at(), r.Trailer
		if resp.status/100 != 1 {
			resp.last = r.Close || requests[0].close
			requests = requests[1:]
		}
		resps = append(resps, resp)
		if resp.last {
			break
		}
	}
	return resps, stdStop{verdict: closing, at: at()}
}

// stdResponseFields returns what net/http makes of a response's fields: it takes out
// Transfer-Encoding, Connection where that says close in HTTP/1.1 and, of a message
// that it holds for chunked, Trailer and the Content-Length beside it; it takes several
// Content-Length lines for one; and it reads "Pragma: no-cache" as Cache-Control.
func stdResponseFields(r wireResponse) http.Header {
	h := maps.Clone(r.fields)
	if h.Get("Pragma") == "no-cache" && h["Cache-Control"] == nil {
		h.Set("Cache-Control", "no-cache")
	}
	if r.version == h1.HTTP11 && refListed(h["Connection"], "close") {
		h.Del("Connection")
	}
	if len(h["Content-Length"]) > 1 {
		h.Set("Content-Length", strings.Trim(h.Get("Content-Length"), " \t"))
	}
	if stdChunked(r) {
		h.Del("Trailer")
		if r.request.method != "HEAD" && r.status >= 200 && r.status != 204 && r.status != 304 {
			h.Del("Content-Length")
		}
	}
	h.Del("Transfer-Encoding")
	return h
}

// stdChunked reports whether net/http holds a response for chunked, be it one that has
// no content.
func stdChunked(r wireResponse) bool {
	return r.version == h1.HTTP11 && strings.EqualFold(r.fields.Get("Transfer-Encoding"), "chunked")
}

// stdLengthBeside reports whether a response has a Content-Length beside its
// Transfer-Encoding, which h1 takes if AcceptCLTE says so. It then closes the
// connection (RFC 9112 6.3); net/http does not, and still wants a sound length.
func stdLengthBeside(r wireResponse) bool {
	return r.framing != h1.FramingLength && r.framing != h1.FramingNone && r.fields["Content-Length"] != nil
}

// stdMisnamed reports whether net/http takes a field that says where a response ends,
// or what follows it, for another one, since there is a space before its colon
// (golang.org/issue/34540). Then only the heads can be compared.
func stdMisnamed(r wireResponse) bool {
	for name := range r.fields {
		switch bare := strings.TrimRight(name, " \t"); http.CanonicalHeaderKey(bare) {
		case "Transfer-Encoding", "Content-Length", "Connection", "Trailer":
			if bare != name {
				return true
			}
		}
	}
	return false
}

// stdResponseExcused reports whether net/http is known to stop as it did where h1 took
// resp:
//
//   - a Content-Length that is none, or several that differ, where h1 does not ask
//     for one: without content, in a tunnel, and with AcceptCLTE beside
//     Transfer-Encoding;
//   - a Content-Length that is a list of equal members (RFC 9110 8.6);
//   - a Transfer-Encoding other than chunked, where h1 does not ask for it, or if TE
//     offered to take others;
//   - a Transfer-Encoding with a fold behind "chunked";
//   - a Trailer field that announces Transfer-Encoding, Trailer or Content-Length
//     for a chunked message, which h1 refuses when it comes;
//   - with CTLValues, a field line with a control character;
//   - with StripNameSpace, a field line with HTAB before its colon;
//   - with LFResponses, a trailer section without CRLF CRLF at its end or behind it;
//   - the chunk-size lines of stdExcusedChunk.
func stdResponseExcused(in []byte, flags refRespFlags, resp wireResponse, stop stdStop) bool {
	if stop.err == nil {
		return false
	}
	fault, quoted, _ := strings.Cut(stop.err.Error(), ` "`)
	quoted, _ = strconv.Unquote(`"` + quoted)
	codings, lengths := resp.fields["Transfer-Encoding"], resp.fields["Content-Length"]
	switch {
	case fault == "http: suspiciously long trailer after chunked body", fault == "http: unexpected EOF reading trailer":
		return flags.LFResponses && resp.framing == h1.FramingChunked &&
			!bytes.Contains(append([]byte("\r\n"), in[stop.at:]...), []byte("\r\n\r\n"))
	case stop.verdict != refused:
		return false
	case fault == "bad Content-Length", fault == "invalid empty Content-Length", strings.HasPrefix(fault, "http: message cannot contain multiple Content-Length headers"):
		isList := func(v string) bool { return strings.Contains(v, ",") }
		return lengths != nil && (resp.framing == h1.FramingNone || stdLengthBeside(resp) || slices.ContainsFunc(lengths, isList))
	case strings.HasPrefix(fault, "too many transfer encodings:"):
		return len(codings) > 1 && resp.framing == h1.FramingNone
	case fault == "unsupported transfer encoding:":
		folded := strings.EqualFold(strings.TrimRight(quoted, " "), "chunked")
		return len(codings) == 1 && codings[0] == quoted && (resp.framing == h1.FramingNone || resp.request.offersTE || folded)
	case fault == "bad trailer key":
		return resp.fields["Trailer"] != nil && stdChunked(resp)
	case fault == "malformed MIME header line:":
		return flags.CTLValues && controls.MatchString(quoted) || flags.StripNameSpace && spacedName.MatchString(quoted)
	}
	return stdExcusedChunk(in[:stop.at], stop.err)
}

var (
	controls   = regexp.MustCompile(`:.*[\x01-\x08\x0b-\x1f\x7f]`)
	spacedName = regexp.MustCompile(`^[^\t :]+ *\t[\t ]*:`)
)
