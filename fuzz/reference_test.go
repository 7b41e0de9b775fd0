package fuzz_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"postern/h1"
	"postern/internal/h1test"
)

// FuzzDiffReference feeds raw bytes to h1 and to the reference: they must agree
// on every request, on how the connection ends and on what is left then. Each bit
// of tight makes one limit small enough to be met.
func FuzzDiffReference(f *testing.F) {
	for _, in := range refSeeds(f) {
		f.Add(in, uint8(0))
		f.Add(in, uint8(255))
	}
	f.Fuzz(func(t *testing.T, in []byte, tight uint8) {
		refCompare(t, in, refTight(tight))
	})
}

// TestReference makes the same comparison for all transcripts and for mutations
// of them, the same ones every time.
func TestReference(t *testing.T) {
	unlimited := h1.Config{MaxTarget: -1, MaxHead: -1, MaxFields: -1, MaxTrailer: -1, MaxTrailerFields: -1,
		MaxChunkLine: -1, MaxChunkOverhead: -1, MaxBody: -1}
	seeds := refSeeds(t)
	for _, in := range refLarge() {
		refCompare(t, in, h1.Config{})
	}
	for _, in := range seeds {
		refCompare(t, in, unlimited)
		for _, tight := range []uint8{0, 1, 2, 4, 8, 16, 32, 64, 128, 255} {
			refCompare(t, in, refTight(tight))
		}
	}
	ends := make(map[refEnd]int)
	rng := rand.New(rand.NewPCG(9110, 9112))
	for range 50_000 {
		tight := uint8(rng.Uint32() & rng.Uint32() & rng.Uint32())
		ends[refCompare(t, refMutate(rng, seeds), refTight(tight)).end]++
	}
	for _, end := range []refEnd{refClean, refClosing, refFailed} {
		if ends[end] < 5_000 {
			t.Errorf("only %d of the mutated inputs end %s: the mutations are one-sided", ends[end], end)
		}
	}
}

func refTight(tight uint8) (cfg h1.Config) {
	for bit, set := range []func(){
		func() { cfg.MaxTarget = 10 },
		func() { cfg.MaxHead = 60 },
		func() { cfg.MaxFields = 3 },
		func() { cfg.MaxTrailer = 16 },
		func() { cfg.MaxTrailerFields = 1 },
		func() { cfg.MaxChunkLine = 10 },
		func() { cfg.MaxChunkOverhead = 8 },
		func() { cfg.MaxBody = 8 },
	} {
		if tight>>bit&1 == 1 {
			set()
		}
	}
	return cfg
}

func refCompare(t testing.TB, in []byte, cfg h1.Config) refResult {
	want := refServer(in, cfg)
	got, err := refDrive(in, cfg)
	switch {
	case err != nil:
		t.Errorf("%q with %+v: %v", in, cfg, err)
	case got.String() != want.String(),
		want.end == refFailed && !slices.Contains(want.faults, got.faults[0]):
		t.Errorf("%q with %+v:\nh1:        %v %v\nreference: %v %v", in, cfg, got, got.faults, want, want.faults)
	}
	return want
}

// refResult is everything that a client's bytes mean to a server that answers
// each request at its end and closes only when the request says so.
type refResult struct {
	requests []refRequest // the last is incomplete if its content was faulty
	end      refEnd
	left     int       // refClosing: bytes behind the last request
	faults   []h1.Code // refFailed: the codes that may name what was wrong
}

// refEnd says why a server stopped reading.
type refEnd string

const (
	refClean   refEnd = "clean"   // the input ended between requests
	refClosing refEnd = "closing" // the last exchange was the connection's last
	refFailed  refEnd = "failed"  // the input broke a rule
)

type refRequest struct {
	method, target, authority string
	version                   h1.Version
	framing                   h1.Framing
	keepAlive                 bool
	fields                    []refField
	content                   string
	complete                  bool
	trailer                   []refField
}

type refField struct{ name, value string }

// String describes a result without its faults.
func (r refResult) String() string {
	var b strings.Builder
	for _, req := range r.requests {
		fmt.Fprintf(&b, "%q %q at %q %v framing=%v keep-alive=%t %q content=%q complete=%t %q; ", req.method, req.target,
			req.authority, req.version, req.framing, req.keepAlive, req.fields, req.content, req.complete, req.trailer)
	}
	fmt.Fprintf(&b, "%s left=%d", r.end, r.left)
	return b.String()
}

// refDrive is refServer with h1: it offers all input, answers every request at its
// end, and closes the input when h1 wants more.
func refDrive(in []byte, cfg h1.Config) (res refResult, err error) {
	var conn h1.ServerConn
	conn.Reset(&cfg)
	var req *refRequest
	for rest, closed := in, false; ; {
		ev, n, err := conn.Next(rest)
		if n < 0 || n > len(rest) {
			return res, fmt.Errorf("Next consumed %d bytes of %d", n, len(rest))
		}
		rest = rest[n:]
		if err != nil {
			e, ok := errors.AsType[*h1.Error](err)
			if !ok || !e.Remote || e.Status != e.Code.Status() || e.Status < 400 {
				return res, fmt.Errorf("error is no remote *h1.Error with the status of its code: %#v", err)
			}
			res.end, res.faults = refFailed, []h1.Code{e.Code}
			return res, nil
		}
		switch ev.Kind {
		case h1.EventRequest:
			res.requests = append(res.requests, refRead(conn.Request()))
			req = &res.requests[len(res.requests)-1]
		case h1.EventData:
			req.content += string(ev.Data)
		case h1.EventEnd:
			req.complete, req.trailer = true, refFields(conn.Trailer())
			status := 200
			if req.method == "CONNECT" {
				status = 501
			}
			if _, err := conn.AppendResponse(nil, status, "text/plain", []byte("ok")); err != nil {
				return res, fmt.Errorf("response refused: %w", err)
			}
		case h1.EventClosed:
			if res.end, res.left = refClosing, len(rest); closed {
				res.end = refClean
			}
			return res, nil
		case h1.EventNeedData:
			if closed {
				return res, errors.New("NeedData after CloseInput")
			}
			conn.CloseInput()
			closed = true
		default:
			return res, fmt.Errorf("event %v though every request is answered", ev.Kind)
		}
	}
}

func refRead(h *h1.Head) refRequest {
	return refRequest{
		method:    string(h.MethodBytes()),
		target:    string(h.Target()),
		authority: string(h.Authority()),
		version:   h.Version(),
		framing:   h.Framing(),
		keepAlive: h.KeepAlive(),
		fields:    refFields(h),
	}
}

func refFields(h *h1.Head) (fields []refField) {
	for name, value := range h.All() {
		fields = append(fields, refField{string(name), string(value)})
	}
	return fields
}

// refValid are requests that both must take, to be mutated.
var refValid = []string{
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"\r\nHEAD /a?b=c|d HTTP/1.1\r\nHOST:\texample.com:80 \r\nX: \xff\t\"y\" \r\nX:\r\n\r\n",
	"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
	"PUT /2 HTTP/1.9\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;a;b=c ; d = \"e\\\"f\"\r\n\r\nx\r\n000\r\n\r\n",
	"POST / HTTP/1.1\r\nHost:\r\nTransfer-Encoding: Chunked\r\nTrailer: T\r\n\r\n00A\r\n0123456789\r\n0;z\r\nT: 1\r\nU:2\r\n\r\n",
	"GET http://b:8080/x?y HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
	"CONNECT [1:2::7.8.9.10]:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: x, keep-alive\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
	"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
	"POST / HTTP/1.0\r\nContent-Length: 003\r\nConnection: keep-alive\r\n\r\nabc",
	"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n12345678",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, , Close\r\n\r\n",
	"GET /last HTTP/1.0\r\n\r\n",
}

const refChunkedHead = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

// refSeeds returns the valid requests, every known field in a trailer section, and
// what the peers of all transcripts send.
func refSeeds(t testing.TB) (seeds [][]byte) {
	for _, s := range refValid {
		seeds = append(seeds, []byte(s))
	}
	for id := h1.FieldAccept; id.String() != ""; id++ {
		seeds = append(seeds, []byte(refChunkedHead+"0\r\n"+id.String()+": x\r\n\r\n"))
	}
	files, err := h1test.Load("../h1/testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for _, tr := range files[name] {
			seeds = append(seeds, tr.Input())
		}
	}
	return seeds
}

// refLarge returns requests that just fit into the default limits and others that
// just do not.
func refLarge() (large [][]byte) {
	for n := range 64 {
		x := func(limit int) string { return strings.Repeat("x", limit-n) }
		for _, s := range []string{
			"GET /" + x(8192) + " HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nX: " + x(65536) + "\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 120-n) + "\r\n",
			refChunkedHead + "1;" + x(270) + "\r\ny\r\n0\r\n\r\n",
			refChunkedHead + strings.Repeat("1;"+strings.Repeat("x", 110)+"\r\ny\r\n", 170) + "1;" + x(100) + "\r\ny\r\n0\r\n\r\n",
			refChunkedHead + "0\r\nX: " + x(8192) + "\r\n\r\n",
			refChunkedHead + "0\r\n" + strings.Repeat("X: y\r\n", 64-n) + "\r\n",
		} {
			large = append(large, []byte(s))
		}
	}
	return large
}

// refPieces are what mutations insert: line ends and their lookalikes, framing
// that contradicts itself, numbers at their limits, hosts and targets that two
// parsers might read in two ways.
var refPieces = []string{
	"\r\n", "\r", "\n", "\r\n\r\n", "\r\r\n", "\n\r", "\x00", "\x0b", "\x0c", "\x16", "\x1f", "\x7f", "\x80", "\x85", "\xa0", "\xff",
	"\t", " ", "  ", ":", ",", ";", "=", "\"", "\\", "#", "?", "/", "@", "%", "[", "]", "|", "0", "1", "9", "a",
	"\r\n ", "\r\n\t", " :", "\t:", ": ", "+", "-", "0x", "_", "00000000000000000000",
	"7fffffffffffffff", "4000000000000000\r\n", "1;a=b \r\n", "8000000000000000", "9223372036854775807", "9223372036854775808",
	"Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: chunked, chunked\r\n",
	"transfer-encoding:\tCHUNKED \r\n", "Transfer-Encoding:\x0bchunked\r\n", "Transfer-Encoding: chun\u212aed\r\n",
	"Transfer-Encoding: x;a=\"b, chunked\", chunked\r\n", "Transfer-Encoding: chunked;a=b, chunked\r\n",
	"Transfer-Encoding: gzip,,chunked\r\n", "Transfer-Encoding: x ; a = b , chunked\r\n", "Transfer-Encoding: identity\r\n",
	"Content-Length: 0\r\n", "Content-Length: 5\r\n", "Content-Length: 5, 5\r\n", "Content-Length: 0005\r\n",
	"Content-Length : 5\r\n", "Content-Length:\r\n", "Content-Length: 00000000000000000005\r\n", "content_length: 5\r\n",
	"Connection: close\r\n", "Connection: keep-alive\r\n", "Connection: keep-alive, , CLOSE\r\n", "Connection: closed\r\n",
	"Connection: clo\u017fe\r\n", "Connection: \u212aeep-alive\r\n", "Connection: close;x\r\n", "Connection: \"close\"\r\n",
	"Connection: ,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,close\r\n", "Proxy-Connection: keep-alive\r\n",
	"Host: a\r\n", "Host: a:\r\n", "Host: :80\r\n", "Host: a:99999\r\n", "Host: [::1]:80\r\n", "Host: [::1.2.3.04]\r\n",
	"Host: [1:2:3:4:5:6:7::]\r\n", "Host: [fe80::1%25en0]\r\n", "Host: [v1.a:b]\r\n", "Host: [v1.a,b]\r\n", "Host: a%2eb\r\n",
	"Host: a%2\r\n", "Host: a\xffb\r\n", "Host: a b\r\n", "Host: [::1]x\r\n", "Host: [1:2:3:4:5:6:1.2.3.256]\r\n",
	"Expect: 100-continue\r\n", "Expect: x\r\n", "Upgrade: h2c\r\n", "X: y\r\n", "X: \u00a0y\u0085 \r\n", "Trailer: x\r\n", "Cookie: a=b\r\n", "Authorization: x\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
	"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n",
	"HTTP/1.0", "HTTP/1.1", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "GET ", "HEAD ", "OPTIONS ", "CONNECT ",
	"*", "http://a/", "HTTPS://b:8/?", "http://a@b/", "http://[::1]/", "http:a", "x+y://a?b", "x:///a", "//a", "a:1", "a:0",
	"a:65536", "a:00000000000000000443", "[::1]:443",
	"0\r\n\r\n", "5\r\nhello\r\n", "5;a=b\r\n", "5 ;a = \"b\\\"c\"\r\n", "5;a \r\n", ";a=\"", ";a=\";\n\"", ";a;b=c", ";a=\"\xff\\\xff\"", "00",
}

// refMutate makes an input from one to three seeds by up to three mutations.
func refMutate(rng *rand.Rand, seeds [][]byte) []byte {
	var in []byte
	for range 1 + rng.IntN(3) {
		n := len(refValid)
		if rng.IntN(8) == 0 {
			n = len(seeds)
		}
		in = append(in, seeds[rng.IntN(n)]...)
	}
	for range rng.IntN(4) {
		i := rng.IntN(len(in) + 1)
		j := min(len(in), i+rng.IntN(12))
		switch rng.IntN(10) {
		case 0: // a byte changes
			if i < len(in) {
				in[i] ^= 1 << rng.IntN(8)
			}
		case 1: // a piece is lost
			in = slices.Delete(in, i, j)
		case 2: // a piece comes twice
			in = slices.Insert(in, j, slices.Clone(in[i:j])...)
		case 3: // the end is lost
			if rng.IntN(4) == 0 {
				in = in[:i]
			}
		case 4: // two lines change places, or one comes twice
			lines := bytes.SplitAfter(in, []byte("\n"))
			a, b := rng.IntN(len(lines)), rng.IntN(len(lines))
			if lines[a], lines[b] = lines[b], lines[a]; rng.IntN(2) == 0 {
				lines[a] = lines[b]
			}
			in = bytes.Join(lines, nil)
		case 5: // something grows over a limit
			in = slices.Insert(in, i, bytes.Repeat([]byte{"a0 ,:;"[rng.IntN(6)]}, 1<<rng.IntN(10))...)
		case 6, 7: // a piece goes to the start of a line, where fields stand
			i = bytes.IndexByte(in[i:], '\n') + 1 + i
			in = slices.Insert(in, min(i, len(in)), []byte(refPieces[rng.IntN(len(refPieces))])...)
		default: // a piece goes anywhere
			in = slices.Insert(in, i, []byte(refPieces[rng.IntN(len(refPieces))])...)
		}
	}
	return in
}
