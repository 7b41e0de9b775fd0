package fuzz_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"postern/h1"
	"postern/internal/h1test"
)

// FuzzDiffNetHTTPResponse holds all that a server sends on a connection to a law:
// what h1 takes as the responses to its requests, http.ReadResponse takes too and
// reads as the same responses, with the same bytes left behind each. Refusing more
// is h1's right. What net/http does differently is written down in
// stdResponseExcused, which says what it refuses, in stdResponseFields, stdFolded and
// stdMisnamed, which say what it changes, and in readStdResponses. A code draws what
// was asked, the limits and the flags, as for FuzzDiffResponse.
func FuzzDiffNetHTTPResponse(f *testing.F) {
	for _, c := range refRespCases {
		f.Add([]byte(c.in), c.code)
	}
	for _, c := range stdResponseCases {
		f.Add([]byte(c.in), c.code)
	}
	files, err := h1test.Load("../h1/testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, cases := range files {
		for i := range cases {
			if in := cases[i].Input(); strings.HasPrefix(cases[i].Commands[0], "client") {
				f.Add(in, refRespThree)
				f.Add(in, refRespUpgrade)
				f.Add(in, refRespTE|refRespLF|refRespSpace|refRespCTLs|refRespCLTE|refRespStrip)
			}
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, code uint32) { stdResponseCompare(t, in, code) })
}

// TestDiffNetHTTPResponse makes the same comparison for the cases and for mutations of
// them, the same ones every time, and counts what was compared.
func TestDiffNetHTTPResponse(t *testing.T) {
	for _, in := range refRespValid {
		if list := strings.Contains(in, "3, 3"); stdResponseCompare(t, []byte(in), 0) == 0 && !list {
			t.Errorf("%q is not read by both", in)
		}
	}
	for _, c := range stdResponseCases {
		if got := stdResponseCompare(t, []byte(c.in), c.code); got != c.same {
			t.Errorf("%s: %d responses are read by both, want %d", c.name, got, c.same)
		}
	}
	for _, c := range refRespCases {
		stdResponseCompare(t, []byte(c.in), c.code)
	}
	const inputs, enough = 50_000, 20_000
	rng := rand.New(rand.NewPCG(2616, 7230))
	seeds, compared := refRespSeeds(), 0
	for range inputs {
		compared += stdResponseCompare(t, refRespMutate(rng, seeds), refRespDraw(rng))
	}
	if compared < enough {
		t.Errorf("only %d responses compared in %d inputs: the mutations are one-sided", compared, inputs)
	}
}

// stdResponseCases are inputs on which the readers differ in a way that is known, and
// how many responses they still read alike.
var stdResponseCases = []struct {
	name string
	code uint32 // of the setup
	in   string
	same int
}{
	{"interim responses", refRespTwo, "HTTP/1.1 100\r\n\r\nHTTP/1.1 103 x\r\nLink: a\r\n\r\n" + refRespEmpty + refRespEmpty, 4},
	{"empty lines before", refRespTwo, "\r\n\r\n" + refRespEmpty + "\r\n" + refRespEmpty, 2},
	{"tunnel", refRespCONNECT, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", 1},
	{"tunnel with a length that is none", refRespCONNECT, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc", 0},
	{"protocol switched", refRespUpgrade, "HTTP/1.1 101 x\r\nUpgrade: x\r\n\r\nabc", 1},
	{"folds", refRespHEAD, refRespOK + "A: b \r\n\t c\r\n \r\nA:\r\n d\r\n\r\n", 1},
	{"fold behind chunked", 0, refRespOK + "Transfer-Encoding: chunked\r\n \r\n\r\n0\r\n\r\n", 0},
	{"length twice", 0, refRespOK + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 1},
	{"list of lengths", 0, refRespOK + "Content-Length: 1, 1\r\n\r\nx", 0},
	{"length and list of lengths", 0, refRespOK + "Content-Length: 1\r\nContent-Length: 1,1\r\n\r\nx", 0},
	{"lengths of no content", refRespHEAD, refRespOK + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 0},
	{"coding of no content", refRespHEAD, refRespOK + "Transfer-Encoding: x\r\n\r\n", 0},
	{"chunked, but no content", 0, "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\nTrailer: T\r\n\r\n", 1},
	{"other coding", refRespTE, refRespOK + "Transfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 0},
	{"other coding up to the end", refRespTE, refRespOK + "Transfer-Encoding: gzip\r\n\r\nx", 0},
	{"forbidden trailer announced", 0, refRespCoded + "Trailer: content-length\r\n\r\n0\r\n\r\n", 0},
	{"announced trailer does not come", 0, refRespCoded + "Trailer: T, U\r\n\r\n0\r\nU: 1\r\n\r\n", 1},
	{"space before an extension", refRespTwo, refRespEmpty + refRespChunkedHead + "1 ;a\r\nx\r\n0\r\n\r\n", 1},
	{"space behind a size", refRespSpace, refRespChunkedHead + "1 \t\r\nx\r\n0\r\n\r\n", 1},
	{"content of 2^62 bytes", 0, refRespChunkedHead + "4000000000000000\r\nx", 0},
	{"Pragma", 0, refRespOK + "Pragma: no-cache\r\nContent-Length: 0\r\n\r\n", 1},
	{"length beside chunked", refRespCLTE, refRespCoded + "Content-Length: 1\r\n\r\n1\r\nx\r\n0\r\n\r\n", 1},
	{"length that is none beside chunked", refRespCLTE, refRespCoded + "Content-Length: x\r\n\r\n1\r\nx\r\n0\r\n\r\n", 0},
	{"control in a value", refRespCTLs, refRespOK + "A: \x01\r\nContent-Length: 0\r\n\r\n", 0},
	{"control in a trailer section", refRespCTLs, refRespChunkedHead + "0\r\nA: \x01\r\n\r\n", 0},
	{"space in a name", refRespStrip, refRespOK + "A : b\r\nContent-Length: 0\r\n\r\n", 1},
	{"space in the name of what frames", refRespStrip, refRespOK + "Content-Length : 0\r\n\r\n", 0},
	{"HTAB in a name", refRespStrip, refRespOK + "A\t: b\r\nContent-Length: 0\r\n\r\n", 0},
	{"LF", refRespLF, "HTTP/1.1 200 OK\nContent-Length: 1\nA: b\n c\n\nx", 1},
	{"LF in a trailer section", refRespLF, refRespChunkedHead + "0\r\nA: b\n\n", 0},
	{"LF for a trailer section", refRespLF, refRespChunkedHead + "0\r\n\n", 0},
	{"LF for a trailer section, and more", refRespLF | refRespTwo, refRespChunkedHead + "0\r\n\n" + refRespEmpty, 2},
	{"request said close", refRespClose, refRespEmpty, 1},
}

// stdResponseCompare returns how many responses were read by both, whole and equal.
func stdResponseCompare(t testing.TB, in []byte, code uint32) (compared int) {
	t.Helper()
	setup := refRespDecode(code)
	ours := readH1Responses(t, in, setup)
	theirs, stop := readStdResponses(in, setup.requests)
	compared, err := stdSameResponses(in, setup.flags, ours, theirs, stop)
	if err != nil {
		t.Fatalf("%q with code %#x, %+v: %v", in, code, setup, err)
	}
	return compared
}

// stdSameResponses compares what h1 has read of in with what net/http has, one
// response after the other, and returns how many are whole and equal. It fails on the
// first difference that is not excused.
func stdSameResponses(in []byte, flags refRespFlags, ours, theirs []wireResponse, stop stdStop) (compared int, err error) {
	for i, got := range ours {
		excused := i >= len(theirs)-1 && stdResponseExcused(in, flags, got, stop)
		switch {
		case i == len(theirs) && excused:
			return compared, nil
		case i == len(theirs):
			return compared, fmt.Errorf("h1 takes response %d, %v, and not net/http: %v", i, got, stop)
		}
		want, fields := theirs[i], stdResponseFields(got)
		switch {
		case got.start != want.start || got.content != want.content:
			return compared, fmt.Errorf("response %d has its head at [%d:%d] for h1 and at [%d:%d] for net/http", i, got.start, got.content, want.start, want.content)
		case got.version != want.version || got.status != want.status || got.reason != want.reason:
			return compared, fmt.Errorf("status-line of response %d:\nh1:       %v\nnet/http: %v", i, got, want)
		case !stdEqual(fields, want.fields):
			return compared, fmt.Errorf("fields of response %d:\nh1:       %q\nnet/http: %q", i, fields, want.fields)
		case flags.StripNameSpace && stdMisnamed(got):
			return compared, nil
		case want.end < 0 && excused && strings.HasPrefix(got.body, want.body):
			return compared, nil
		case !strings.HasPrefix(want.body, got.body):
			return compared, fmt.Errorf("content of response %d: %q from h1 and %q from net/http", i, got.body, want.body)
		case got.end < 0: // h1 refused the content or wants more of it
			return compared, nil
		case got.end != want.end || got.body != want.body:
			return compared, fmt.Errorf("content of response %d: %q up to %d from h1 and %q up to %d from net/http: %v", i, got.body, got.end, want.body, want.end, stop)
		case !stdEqual(got.trailer, want.trailer):
			return compared, fmt.Errorf("trailer section of response %d: %q from h1 and %q from net/http", i, got.trailer, want.trailer)
		case got.last != want.last && !(got.last && stdLengthBeside(got)):
			return compared, fmt.Errorf("response %d is the last: %t for h1 and %t for net/http", i, got.last, want.last)
		}
		compared++
	}
	return compared, nil
}

// TestDiffNetHTTPResponseNotices disturbs what net/http has read: every difference is
// noticed, by its own name.
func TestDiffNetHTTPResponseNotices(t *testing.T) {
	const first = refRespOK + "A: b\r\nA: c\r\nContent-Length: 5\r\n\r\nhello"
	in := []byte(first + refRespChunkedHead + "1\r\nx\r\n0\r\nT: u\r\n\r\n")
	setup := refRespDecode(refRespTwo)
	read := func() (ours, theirs []wireResponse, stop stdStop) {
		theirs, stop = readStdResponses(in, setup.requests)
		return readH1Responses(t, in, setup), theirs, stop
	}
	ours, theirs, stop := read()
	if n, err := stdSameResponses(in, setup.flags, ours, theirs, stop); n != 2 || err != nil {
		t.Fatalf("undisturbed: %d responses are the same, %v", n, err)
	}
	refuse := func(r *wireResponse, stop *stdStop, content, text string) {
		r.end, r.body, r.trailer = -1, content, nil
		*stop = stdStop{refused, errors.New(text), len(in)}
	}
	for _, c := range []struct {
		name    string
		disturb func(theirs []wireResponse, stop *stdStop) []wireResponse
		want    string
	}{
		{"a response less", func(th []wireResponse, _ *stdStop) []wireResponse { return th[:1] }, "h1 takes response 1"},
		{"refused for no reason", func(th []wireResponse, s *stdStop) []wireResponse {
			*s = stdStop{refused, errors.New("no reason"), 0}
			return nil
		}, "h1 takes response 0"},
		{"a coding refused that nobody sent", func(th []wireResponse, s *stdStop) []wireResponse {
			*s = stdStop{refused, errors.New(`unsupported transfer encoding: "gzip"`), len(first)}
			return th[:1]
		}, "h1 takes response 1"},
		{"a length refused that is one", func(th []wireResponse, s *stdStop) []wireResponse {
			*s = stdStop{refused, errors.New(`bad Content-Length "5"`), 0}
			return nil
		}, "h1 takes response 0"},
		{"a trailer refused that nobody announced", func(th []wireResponse, s *stdStop) []wireResponse {
			*s = stdStop{refused, errors.New(`bad trailer key "Content-Length"`), 0}
			return th[:1]
		}, "h1 takes response 1"},
		{"a line refused without a control", func(th []wireResponse, s *stdStop) []wireResponse {
			*s = stdStop{refused, errors.New(`malformed MIME header line: "A: b"`), 0}
			return nil
		}, "h1 takes response 0"},
		{"a chunk-size line refused without spaces", func(th []wireResponse, s *stdStop) []wireResponse {
			refuse(&th[1], s, "", "invalid byte in chunk length")
			return th
		}, "content of response 1"},
		{"a trailer section refused that ends in CRLF", func(th []wireResponse, s *stdStop) []wireResponse {
			refuse(&th[1], s, "x", "http: suspiciously long trailer after chunked body")
			return th
		}, "content of response 1"},
		{"wants more", func(th []wireResponse, s *stdStop) []wireResponse {
			refuse(&th[1], s, "x", "unexpected EOF")
			s.verdict = waiting
			return th
		}, "content of response 1"},
		{"start", func(th []wireResponse, _ *stdStop) []wireResponse { th[1].start--; return th }, "response 1 has its head"},
		{"end of the head", func(th []wireResponse, _ *stdStop) []wireResponse { th[0].content--; return th }, "response 0 has its head"},
		{"version", func(th []wireResponse, _ *stdStop) []wireResponse { th[0].version = h1.HTTP10; return th }, "status-line of response 0"},
		{"status", func(th []wireResponse, _ *stdStop) []wireResponse { th[0].status++; return th }, "status-line of response 0"},
		{"reason", func(th []wireResponse, _ *stdStop) []wireResponse { th[0].reason = ""; return th }, "status-line of response 0"},
		{"field less", func(th []wireResponse, _ *stdStop) []wireResponse { th[0].fields.Del("A"); return th }, "fields of response 0"},
		{"field more", func(th []wireResponse, _ *stdStop) []wireResponse { th[0].fields.Set("B", ""); return th }, "fields of response 0"},
		{"order of values", func(th []wireResponse, _ *stdStop) []wireResponse {
			th[0].fields["A"] = []string{"c", "b"}
			return th
		}, "fields of response 0"},
		{"content", func(th []wireResponse, _ *stdStop) []wireResponse { th[0].body = "hellO"; return th }, "content of response 0"},
		{"content less", func(th []wireResponse, _ *stdStop) []wireResponse { th[0].body = "hell"; return th }, "content of response 0"},
		{"content more", func(th []wireResponse, _ *stdStop) []wireResponse { th[0].body = "hello!"; return th }, "content of response 0"},
		{"leftover", func(th []wireResponse, _ *stdStop) []wireResponse { th[1].end--; return th }, "content of response 1"},
		{"trailer", func(th []wireResponse, _ *stdStop) []wireResponse { th[1].trailer.Set("T", "v"); return th }, "trailer section of response 1"},
		{"last", func(th []wireResponse, _ *stdStop) []wireResponse { th[1].last = true; return th }, "response 1 is the last"},
	} {
		ours, theirs, stop := read()
		_, err := stdSameResponses(in, setup.flags, ours, c.disturb(theirs, &stop), stop)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}
