package fuzz_test

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"testing"

	"postern/h1"
)

// FuzzChunked takes any bytes for the content of a chunked request: what h1 decodes
// to its end, httputil's reader, and a reader of trailer sections behind it, decode
// to the same content and trailer section and leave the same bytes. As far as h1
// comes in what it refuses, the content is the same too. The second argument is the
// size of the pieces in which h1 gets them.
func FuzzChunked(f *testing.F) {
	for _, s := range chunkedSeeds {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(1))
	}
	f.Add([]byte("5;\r\nhello\r\n1 ;a\r\n!\r\n0\r\n\r\n"), uint8(0)) // refused by h1 before httputil refuses it
	for _, in := range stdSeeds(f) {
		if _, body, ok := bytes.Cut(in, []byte(refChunkedHead)); ok {
			f.Add(body, uint8(7))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) { chunkedCompare(t, in, int(piece)) })
}

// TestChunked makes the same comparison for mutations of the seeds, the same ones
// every time.
func TestChunked(t *testing.T) {
	const inputs, enough = 30_000, 7_500
	seeds := make([][]byte, len(chunkedSeeds))
	for i, s := range chunkedSeeds {
		seeds[i] = []byte(s)
		if !chunkedCompare(t, seeds[i], 0) {
			t.Errorf("%q is not decoded to its end", s)
		}
	}
	rng := rand.New(rand.NewPCG(7, 1))
	whole := 0
	for range inputs {
		in := bytes.Clone(seeds[rng.IntN(len(seeds))])
		for range rng.IntN(4) {
			at := rng.IntN(len(in) + 1)
			if rng.IntN(2) == 0 {
				piece := refPieces[rng.IntN(len(refPieces))]
				in = append(in[:at:at], piece+string(in[at:])...)
			} else if at < len(in) {
				in[at] ^= 1 << rng.IntN(8)
			}
		}
		if chunkedCompare(t, in, rng.IntN(9)) {
			whole++
		}
	}
	if whole < enough {
		t.Errorf("only %d of %d inputs are decoded to their end: the mutations are one-sided", whole, inputs)
	}
}

// chunkedSeeds are chunked contents with all that the grammar allows, and bytes
// behind them.
var chunkedSeeds = []string{
	"0\r\n\r\n",
	"5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
	"00A\r\n0123456789\r\n00b\r\n0123456789a\r\n000;x\r\n\r\n\r\n",
	"5;a;b=c;d=\"e\\\"f;\"\r\nhello\r\n1;\ta\t=\tb\r\n!\r\n0\r\n\r\n0\r\n\r\n",
	"2\r\n\r\n\r\n1\r\n0\r\n0\r\nT:\r\nt: \xff \r\nU-v: 1\t2\r\n\r\n5\r\nhello",
	"0000000000000001\r\nx\r\n0\r\nA: b\r\nA: c\r\n\r\n",
}

// chunkedCompare reports whether h1 decoded in to its end, in pieces of that size,
// or whole if it is zero.
func chunkedCompare(t testing.TB, in []byte, piece int) bool {
	t.Helper()
	content, trailer, left, ended := chunkedH1(t, in, piece)

	src := bytes.NewReader(in)
	br := bufio.NewReaderSize(src, len(in)+1)
	want, err := io.ReadAll(httputil.NewChunkedReader(br))
	read := len(in) - src.Len() - br.Buffered()
	switch {
	case err != nil && stdExcusedChunk([]byte("\r\n"+string(in[:read])), err) && bytes.HasPrefix(content, want):
		return ended
	case !bytes.HasPrefix(want, content):
		t.Fatalf("%q: content %q from h1, %q from httputil, %v", in, content, want, err)
	case !ended:
		return false
	case err != nil || len(want) > len(content):
		t.Fatalf("%q: content ends behind %q for h1, and is %q for httputil, %v", in, content, want, err)
	}
	fields, err := textproto.NewReader(br).ReadMIMEHeader()
	if err != nil || !stdEqual(trailer, http.Header(fields)) {
		t.Fatalf("%q: trailer section %q from h1, %q from net/textproto, %v", in, trailer, fields, err)
	}
	if stdLeft := br.Buffered() + src.Len(); left != stdLeft {
		t.Fatalf("%q: %d bytes left by h1, %d by httputil", in, left, stdLeft)
	}
	return true
}

// chunkedH1 decodes in with h1, which sees piece bytes more each time it has
// decoded what it can, or all from the start if piece is zero.
func chunkedH1(t testing.TB, in []byte, piece int) (content []byte, trailer http.Header, left int, ended bool) {
	t.Helper()
	var conn h1.ServerConn
	if ev, n, err := conn.Next([]byte(refChunkedHead)); ev.Kind != h1.EventRequest || n != len(refChunkedHead) {
		t.Fatalf("the head is refused: %v", err)
	}
	shown := len(in)
	if piece > 0 {
		shown = min(piece, len(in))
	}
	for at := 0; ; {
		ev, n, err := conn.Next(in[at:shown])
		at += n
		switch {
		case err != nil:
			return content, nil, len(in) - at, false
		case ev.Kind == h1.EventData:
			content = append(content, ev.Data...)
		case ev.Kind == h1.EventEnd:
			return content, stdHeader(conn.Trailer()), len(in) - at, true
		case ev.Kind == h1.EventNeedData && shown == len(in):
			return content, nil, len(in) - at, false
		case ev.Kind == h1.EventNeedData:
			shown = min(shown+piece, len(in))
		default:
			t.Fatalf("%q: %v inside a message", in, ev.Kind)
		}
	}
}
