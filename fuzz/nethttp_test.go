package fuzz_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"postern/h1"
)

// FuzzDiffNetHTTPRequest holds a whole stream of requests to a law: what h1 takes,
// http.ReadRequest takes too and reads as the same request, with the same bytes
// left behind it. Refusing more is h1's right. What net/http does differently is
// written down in stdExcused, which says what it refuses, in stdFields and
// stdHost, which say what it changes, and in readStd.
func FuzzDiffNetHTTPRequest(f *testing.F) {
	for _, in := range stdSeeds(f) {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) { stdCompare(t, in) })
}

// TestDiffNetHTTPRequest makes the same comparison for mutations of the seeds, the
// same ones every time, and counts what was compared.
func TestDiffNetHTTPRequest(t *testing.T) {
	for _, s := range refValid {
		if stdCompare(t, []byte(s)) != 1 {
			t.Errorf("%q is not read by both", s)
		}
	}
	const inputs, enough = 30_000, 15_000
	seeds := stdSeeds(t)
	rng := rand.New(rand.NewPCG(2616, 9112))
	compared := 0
	for range inputs {
		compared += stdCompare(t, refMutate(rng, seeds))
	}
	if compared < enough {
		t.Errorf("only %d requests compared in %d inputs: the mutations are one-sided", compared, inputs)
	}
}

func stdSeeds(t testing.TB) [][]byte {
	seeds := refSeeds(t)
	for _, p := range smugglePayloads {
		seeds = append(seeds, smuggleStream(p.opening, []byte(p.middle)))
	}
	return seeds
}

// stdCompare returns how many requests were read by both, whole and equal.
func stdCompare(t testing.TB, in []byte) (compared int) {
	t.Helper()
	ours, _ := readH1(t, in)
	theirs, stop := readStd(in)
	for i, got := range ours {
		excused := i >= len(theirs)-1 && stdExcused(in, got, stop)
		switch {
		case i == len(theirs) && excused:
			return compared
		case i == len(theirs):
			t.Fatalf("%q: h1 takes request %d, %v, and not net/http: %v", in, i, got, stop)
		}
		want := theirs[i]
		host, fields := stdHost(got), stdFields(got)
		switch {
		case got.start != want.start || got.content != want.content:
			t.Fatalf("%q: request %d has its head at [%d:%d] for h1 and at [%d:%d] for net/http", in, i, got.start, got.content, want.start, want.content)
		case got.method != want.method || got.target != want.target || host != want.host || got.version != want.version:
			t.Fatalf("%q: request %d:\nh1:       %v\nnet/http: %v", in, i, got, want)
		case !stdEqual(fields, want.fields):
			t.Fatalf("%q: request %d:\nh1:       %q\nnet/http: %q", in, i, fields, want.fields)
		case want.end < 0 && excused && strings.HasPrefix(got.body, want.body):
			return compared
		case !strings.HasPrefix(want.body, got.body):
			t.Fatalf("%q: request %d: content %q from h1 and %q from net/http", in, i, got.body, want.body)
		case got.end < 0: // h1 refused the content or wants more of it
			return compared
		case got.end != want.end || got.body != want.body:
			t.Fatalf("%q: request %d: content %q up to %d from h1 and %q up to %d from net/http: %v", in, i, got.body, got.end, want.body, want.end, stop)
		case !stdEqual(got.trailer, want.trailer):
			t.Fatalf("%q: request %d: trailer section %q from h1 and %q from net/http", in, i, got.trailer, want.trailer)
		case got.last != want.last:
			t.Fatalf("%q: request %d is the last: %t for h1 and %t for net/http", in, i, got.last, want.last)
		}
		compared++
	}
	return compared
}

// stdExcused reports whether net/http is known to stop as it did where h1 took req:
//
//   - targets that net/url cannot parse: with "%" not before two hexadecimal
//     digits outside a host, with an escaped ASCII byte in one, or with an
//     IPvFuture for one;
//   - a Trailer field that announces Transfer-Encoding, Trailer or Content-Length
//     for a chunked message, which h1 refuses when it comes;
//   - the chunk-size lines of stdExcusedChunk.
func stdExcused(in []byte, req wireRequest, stop stdStop) bool {
	if stop.verdict != refused {
		return false
	}
	if e, ok := errors.AsType[*url.Error](stop.err); ok {
		_, escape := errors.AsType[url.EscapeError](e)
		_, malformed := url.PathUnescape(req.host)
		future := strings.HasPrefix(req.host, "[v") || strings.HasPrefix(req.host, "[V")
		return (escape && malformed == nil || future) && e.Op == "parse" && strings.HasSuffix(e.URL, req.target)
	}
	if strings.HasPrefix(stop.err.Error(), "bad trailer key ") {
		return len(req.fields["Trailer"]) > 0 && req.framing == h1.FramingChunked
	}
	return stdExcusedChunk(in[:stop.at], stop.err)
}

// stdExcusedChunk reports whether net/http's chunked reader, which failed with err,
// has met a chunk-size line that it is known to misread:
//
//   - whitespace before an extension, which RFC 9112 7.1.1 has it remove;
//   - a size of at least 1<<62, which overflows its reckoning of what is framing.
//
// read is what the reader has consumed, that line last.
func stdExcusedChunk(read []byte, err error) bool {
	line := chunkLine.FindSubmatch(read)
	if line == nil {
		return false
	}
	switch err.Error() {
	case "invalid byte in chunk length":
		return len(line[2]) > 0
	case "chunked encoding contains too much non-data":
		size, err := strconv.ParseUint(string(line[1]), 16, 64)
		return err == nil && size >= 1<<62
	}
	return false
}

var chunkLine = regexp.MustCompile(`\r\n([0-9A-Fa-f]+)([\t ]*)(?:;[^\r\n]*)?\r\n$`)

// stdHost returns what net/http makes of a request's authority: it takes escapes
// in a target's host for the bytes that they stand for.
func stdHost(req wireRequest) string {
	if req.host == req.fields.Get("Host") {
		return req.host
	}
	host, err := url.PathUnescape(req.host)
	if err != nil {
		return req.host
	}
	return host
}

// stdFields returns what net/http makes of a request's fields: it takes out Host,
// Transfer-Encoding and, of a chunked message, Trailer; and it reads "Pragma:
// no-cache" as Cache-Control.
func stdFields(req wireRequest) http.Header {
	h := maps.Clone(req.fields)
	h.Del("Host")
	h.Del("Transfer-Encoding")
	if req.framing == h1.FramingChunked {
		h.Del("Trailer")
	}
	if h.Get("Pragma") == "no-cache" && h["Cache-Control"] == nil {
		h.Set("Cache-Control", "no-cache")
	}
	return h
}

func stdEqual(a, b http.Header) bool { return maps.EqualFunc(a, b, slices.Equal) }

// wireRequest is a request as one reader understood it, and where it stood.
type wireRequest struct {
	start   int // offset of the head, behind empty lines
	content int // offset behind the head
	end     int // offset behind the message; -1: it did not end

	method, target, host string
	version              h1.Version
	framing              h1.Framing // h1 only
	fields, trailer      http.Header
	body                 string
	last                 bool // the connection ends with it
}

// String leaves out what no comparison of heads needs.
func (r wireRequest) String() string {
	return fmt.Sprintf("[%d:%d:%d] %q %q at %q %v %q", r.start, r.content, r.end, r.method, r.target, r.host, r.version, r.fields)
}

// verdict says why a reader took no more requests.
type verdict string

const (
	waiting verdict = "wants more input"
	closing verdict = "closes after the last message"
	refused verdict = "refuses what comes next"
)

// readH1 reads all requests of a stream with h1 and answers each at its end.
func readH1(t testing.TB, in []byte) (reqs []wireRequest, v verdict) {
	t.Helper()
	var conn h1.ServerConn
	var req *wireRequest
	for at := 0; ; {
		ev, n, err := conn.Next(in[at:])
		at += n
		if err != nil {
			return reqs, refused
		}
		switch ev.Kind {
		case h1.EventRequest:
			h := conn.Request()
			reqs = append(reqs, wireRequest{
				start: at - len(h.Raw()), content: at, end: -1,
				method: string(h.MethodBytes()), target: string(h.Target()), host: string(h.Authority()),
				version: h.Version(), framing: h.Framing(), fields: stdHeader(h), last: !h.KeepAlive(),
			})
			req = &reqs[len(reqs)-1]
		case h1.EventData:
			req.body += string(ev.Data)
		case h1.EventEnd:
			req.end, req.trailer = at, stdHeader(conn.Trailer())
			status := 200
			if req.method == "CONNECT" {
				status = 501 // 2xx would be a tunnel
			}
			if _, err := conn.AppendResponse(nil, status, "", nil); err != nil {
				t.Fatalf("%q: response to %v refused: %v", in, *req, err)
			}
		case h1.EventClosed:
			return reqs, closing
		case h1.EventNeedData:
			return reqs, waiting
		default:
			t.Fatalf("%q: %v though every request is answered", in, ev.Kind)
		}
	}
}

func stdHeader(h *h1.Head) http.Header {
	m := make(http.Header, h.Len())
	for name, value := range h.All() {
		m.Add(string(name), string(value))
	}
	return m
}

// stdStop says why net/http took no more requests, with which error, and how many
// bytes of the stream it had consumed then.
type stdStop struct {
	verdict verdict
	err     error
	at      int
}

func (s stdStop) String() string { return fmt.Sprintf("it %s at %d: %v", s.verdict, s.at, s.err) }

// readStd reads all requests of a stream with net/http, until one says close. Two
// differences are made good here: http.ReadRequest does not skip empty lines before a
// request-line, which its Server does, sometimes; and it limits a trailer section by
// the size of the bufio.Reader, which here holds all that there is.
func readStd(in []byte) (reqs []wireRequest, stop stdStop) {
	src := bytes.NewReader(in)
	br := bufio.NewReaderSize(src, len(in)+1)
	at := func() int { return len(in) - src.Len() - br.Buffered() }
	for {
		for range 2 {
			if b, _ := br.Peek(2); string(b) == "\r\n" {
				br.Discard(2)
			}
		}
		start := at()
		r, err := http.ReadRequest(br)
		if err != nil {
			return reqs, stdStop{stdVerdict(err), err, at()}
		}
		req := wireRequest{
			start: start, content: at(), end: -1,
			method: r.Method, target: r.RequestURI, host: r.Host, version: h1.HTTP11, fields: r.Header, last: r.Close,
		}
		if !r.ProtoAtLeast(1, 1) {
			req.version = h1.HTTP10
		}
		body, err := io.ReadAll(r.Body)
		req.body = string(body)
		if err != nil {
			return append(reqs, req), stdStop{stdVerdict(err), err, at()}
		}
		// What Trailer announces stands in the map even if it never comes.
		maps.DeleteFunc(r.Trailer, func(_ string, values []string) bool { return values == nil })
		req.end, req.trailer = at(), r.Trailer
		reqs = append(reqs, req)
		if req.last {
			return reqs, stdStop{verdict: closing, at: at()}
		}
	}
}

// stdVerdict tells input that ends too early from input that is wrong. A line that
// is cut off may still pass for a wrong one.
func stdVerdict(err error) verdict {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), err.Error() == "http: unexpected EOF reading trailer":
		return waiting
	}
	return refused
}
