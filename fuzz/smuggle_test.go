package fuzz_test

import (
	"math/rand/v2"
	"testing"
)

// FuzzNoSmuggle puts fuzzed bytes between two requests, the way an attacker does
// who shares a connection with a victim, and asks h1 and net/http for the requests
// that they see. They agree if
//
//   - the requests that both take begin, have their content and end at the same
//     offsets, one after the other;
//   - neither takes a head where the other sees content or nothing at all;
//   - neither sees a message end where the other waits for the rest of it.
//
// A reader that refuses bytes answers and closes, so that nothing behind them is a
// request to it: h1 may always refuse what net/http goes on with, and net/http may
// refuse where stdExcused says that it does. A reader that closes because a message
// said so must not have been the only one to hear it.
func FuzzNoSmuggle(f *testing.F) {
	for _, p := range smugglePayloads {
		f.Add(p.opening, []byte(p.middle))
	}
	for _, in := range refSeeds(f) {
		f.Add(behindRequest, in)
		f.Add(inFields, in)
		f.Add(inChunked, in)
	}
	f.Fuzz(func(t *testing.T, opening uint8, middle []byte) {
		smuggleCompare(t, smuggleStream(opening, middle))
	})
}

// TestNoSmuggle makes the same comparison for middles put together from pieces that
// parsers are known to read in different ways, the same ones every time.
func TestNoSmuggle(t *testing.T) {
	const inputs, enough = 30_000, 10_000
	rng := rand.New(rand.NewPCG(7230, 9112))
	compared := 0
	for range inputs {
		var middle []byte
		for range rng.IntN(6) {
			middle = append(middle, refPieces[rng.IntN(len(refPieces))]...)
		}
		opening := rng.IntN(len(smuggleOpenings))
		if rng.IntN(2) == 0 {
			middle = append(middle, smuggleOpenings[opening].finish...)
		}
		compared += smuggleCompare(t, smuggleStream(uint8(opening), middle))
	}
	if compared < enough {
		t.Errorf("only %d requests compared in %d inputs: the middles are one-sided", compared, inputs)
	}
}

// TestSmugglePayloads says what h1 makes of each payload.
func TestSmugglePayloads(t *testing.T) {
	for _, p := range smugglePayloads {
		in := smuggleStream(p.opening, []byte(p.middle))
		smuggleCompare(t, in)
		reqs, v := readH1(t, in)
		complete := 0
		for _, req := range reqs {
			if req.end >= 0 {
				complete++
			}
		}
		if complete != p.requests || v != p.verdict {
			t.Errorf("row %d: %q: %d requests, then h1 %s; want %d, then h1 %s", p.row, in, complete, v, p.requests, p.verdict)
		}
	}
}

// smuggleCompare returns how many requests both readers took, whole.
func smuggleCompare(t testing.TB, in []byte) (compared int) {
	t.Helper()
	ours, v := readH1(t, in)
	theirs, stop := readStd(in)
	for i := range max(len(ours), len(theirs)) {
		excused := i < len(ours) && i >= len(theirs)-1 && stdExcused(in, ours[i], stop)
		switch {
		case i == len(theirs) && excused:
			return compared
		case i == len(theirs):
			t.Fatalf("%q: request %d, %v, for h1 and not for net/http: %v", in, i, ours[i], stop)
		case i == len(ours) && v == refused:
			return compared
		case i == len(ours):
			t.Fatalf("%q: request %d, %v, for net/http and not for h1, which %s", in, i, theirs[i], v)
		}
		a, b := ours[i], theirs[i]
		switch {
		case a.start != b.start || a.content != b.content:
			t.Fatalf("%q: request %d has its head at [%d:%d] for h1 and at [%d:%d] for net/http", in, i, a.start, a.content, b.start, b.content)
		case a.end < 0 && v == refused, b.end < 0 && excused:
			return compared
		case a.end != b.end:
			t.Fatalf("%q: request %d ends at %d for h1, which %s, and at %d for net/http: %v", in, i, a.end, v, b.end, stop)
		case a.end >= 0:
			compared++
		}
	}
	if (v == closing) != (stop.verdict == closing) {
		t.Fatalf("%q: after %d requests h1 %s, and of net/http: %v", in, compared, v, stop)
	}
	return compared
}

// smuggleStream is an opening, the middle, and a request that stands for someone
// else's.
func smuggleStream(opening uint8, middle []byte) []byte {
	in := []byte(smuggleOpenings[int(opening)%len(smuggleOpenings)].begin)
	in = append(in, middle...)
	return append(in, "GET /victim HTTP/1.1\r\nHost: b\r\n\r\n"...)
}

// Where the middle begins in the attacker's own request.
const (
	behindRequest uint8 = iota
	behindContent
	inRequestLine
	inFields
	inFields10
	inLength
	inEncoding
	inChunked
	inExtension
	inTrailer
)

// smuggleOpenings are the beginnings, and what would make a request of each.
var smuggleOpenings = [...]struct{ begin, finish string }{
	behindRequest: {"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", ""},
	behindContent: {"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", ""},
	inRequestLine: {"GET /a", " HTTP/1.1\r\nHost: a\r\n\r\n"},
	inFields:      {"POST /a HTTP/1.1\r\nHost: a\r\n", "\r\n"},
	inFields10:    {"POST /a HTTP/1.0\r\nConnection: keep-alive\r\n", "\r\n"},
	inLength:      {"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length:", "5\r\n\r\nhello"},
	inEncoding:    {"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:", "chunked\r\n\r\n0\r\n\r\n"},
	inChunked:     {refChunkedHead, "0\r\n\r\n"},
	inExtension:   {refChunkedHead + "5", "\r\nhello\r\n0\r\n\r\n"},
	inTrailer:     {refChunkedHead + "5\r\nhello\r\n0\r\n", "\r\n"},
}
