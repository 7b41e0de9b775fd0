package fuzz_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
)

// refRespValid are responses to one GET, to be mutated.
var refRespValid = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\nX: a\r\n\tb \r\n c\r\n\r\n",
	"\r\nHTTP/1.1 404 Not \xff Found\r\nDate:\tx \r\ncontent-length: 3, 3\r\nX:\r\n\r\nabc\r\n",
	"HTTP/1.1 204\r\n\r\n",
	"HTTP/1.0 304 \r\nConnection: x, Keep-Alive\r\nContent-Length: 9\r\n\r\n",
	"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;a;b=c ; d = \"e\\\"f\"\r\n\r\nx\r\n000\r\n\r\n",
	"HTTP/1.9 500 x\r\nTransfer-Encoding: Chunked\r\nTrailer: T\r\n\r\n00A\r\n0123456789\r\n0;z\r\nT: 1\r\n 2\r\nU:2\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n1;aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\ny\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade, , y\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: foo, , Close\r\n\r\nok",
	"HTTP/1.0 200 OK\r\nContent-Length: 002\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nServer: x\r\n\r\nuntil the end\r\n",
	"HTTP/1.0 999\r\n\r\n",
	"HTTP/1.0 200 OK\r\nX: a\r\n\r\n0\r\n\r\n",
	"HTTP/1.1 206 x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nT: 1\r\n\r\n",
}

// refRespSeeds returns good and bad streams for every rule: what the self-test
// reads, and the valid responses.
func refRespSeeds() (seeds [][]byte) {
	for _, in := range refRespValid {
		seeds = append(seeds, []byte(in))
	}
	for _, c := range refRespCases {
		seeds = append(seeds, []byte(c.in))
	}
	return seeds
}

// refRespLines are what mutations insert where a line starts: framing that
// contradicts itself, lists with odd members, names that are none.
var refRespLines = []string{
	"Transfer-Encoding: chunked\r\n", "transfer-encoding:\tCHUNKED \r\n", "Transfer-Encoding: gzip, chunked\r\n",
	"Transfer-Encoding: chunked, chunked\r\n", "Transfer-Encoding: gzip\r\n", "Transfer-Encoding: identity;q=1\r\n",
	"Transfer-Encoding: x;a=\"b, chunked\", chunked\r\n", "Transfer-Encoding: chunked;a=b\r\n", "Transfer-Encoding: gzip,,chunked\r\n",
	"Transfer-Encoding: x ; a = b , chunked\r\n", "Transfer-Encoding:\x0bchunked\r\n", "Transfer-Encoding: chun\u212aed\r\n",
	"Transfer-Encoding:\r\n", "Transfer-Encoding: x;a, chunked\r\n", "Transfer-Encoding: \"x\", chunked\r\n",
	"Content-Length: 0\r\n", "Content-Length: 2\r\n", "Content-Length: 5\r\n", "Content-Length: 5, 5\r\n", "Content-Length: 5,05\r\n",
	"Content-Length : 5\r\n", "Content-Length:\r\n", "Content-Length: 5,\r\n", "Content-Length: 5\x0b\r\n", "Content-Length:\r\n 5\r\n",
	"Connection: close\r\n", "Connection: keep-alive\r\n", "Connection: keep-alive, , CLOSE\r\n", "Connection: clo\u017fe\r\n",
	"Connection: close;x\r\n", "Connection: ,\r\n close\r\n", "Proxy-Connection: close\r\n", "Keep-Alive: 5\r\n",
	"Connection: ,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,close\r\n", "Upgrade: , ,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,a\r\n",
	"Expect: ,,,,,,,,,,,,,,,,\r\n", "Trailer: ,,,,,,,,,,,,,,,,\r\n", "Upgrade: h2c\r\n", "Set-Cookie: a\r\n", "TE: x\r\n", "Host: a\r\n",
	"X: y\r\n", "X: y\n", "X:y\r\n z\r\n\t\r\n", "X: \xa0y\x85 \r\n", "X: \x01\r\n", " X: y\r\n", "\tX: y\r\n", "X : y\r\n", "X\r\n", "X\r\n :y\r\n",
	"\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100\r\n\r\n", "HTTP/1.1 103 x\r\nContent-Length: 1\r\n\r\n",
	"HTTP/1.1 101 x\r\nUpgrade: y\r\nConnection: upgrade\r\n\r\n",
	"0\r\n\r\n", "5\r\nhello\r\n", "1;a=b\r\nx\r\n", "1 \r\nx\r\n", "1 ;a = \"b\\\"c\"\r\nx\r\n", "1;aaaaaaaaaaaaaaaaaaa\r\nx\r\n",
}

// refRespPieces are what mutations insert anywhere: line ends and their
// lookalikes, numbers at their limits, delimiters.
var refRespPieces = []string{
	"\r\n", "\r", "\n", "\r\n\r\n", "\r\r\n", "\n\r", "\n\n", "\x00", "\x01", "\x0b", "\x0c", "\x1f", "\x7f", "\x80", "\x85", "\xa0", "\xff",
	"\t", " ", "  ", ":", ",", ";", "=", "\"", "\\", "/", ".", "0", "1", "9", "a", "F", "_", "+", "-", "0x",
	"\r\n ", "\r\n\t", "\t\r\n \t", "\n ", " \r\n", " :", "\t:", ": ", "\r\n :", "00000000000000000000",
	"7fffffffffffffff", "8000000000000000", "00000000000000001", "9223372036854775807", "9223372036854775808",
	"HTTP/1.0", "HTTP/1.1", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", " 200 ", " 204", " 304 ", " 101 ", " 100", " 099", "1000",
	";a", ";a ", ";a=\"", ";a=\";\n\"", ";a;b=c", ";a=\"\xff\\\xff\"", ";a =\tb", "\t;", "00",
}

// refRespMutate makes an input of one to three responses, most of them valid ones,
// by up to three mutations.
func refRespMutate(rng *rand.Rand, seeds [][]byte) (in []byte) {
	for more := true; more; more = rng.IntN(8) == 0 {
		if rng.IntN(6) == 0 {
			in = append(in, seeds[rng.IntN(len(seeds))]...)
		} else {
			in = append(in, refRespValid[rng.IntN(len(refRespValid))]...)
		}
	}
	for range min(rng.IntN(3), rng.IntN(4)) {
		i := rng.IntN(len(in) + 1)
		j := min(len(in), i+rng.IntN(12))
		switch rng.IntN(12) {
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
		case 6: // a CRLF loses a half, or is followed by what folds
			if at := bytes.Index(in[i:], refRespCRLF); at >= 0 {
				at += i
				half := [][]byte{[]byte("\r"), []byte("\n"), []byte("\r\n "), []byte(" \r\n\t")}[rng.IntN(4)]
				in = slices.Replace(in, at, at+2, half...)
			}
		case 7, 8, 9: // a line comes before another, or at the end
			i += bytes.IndexByte(in[i:], '\n') + 1
			in = slices.Insert(in, i, []byte(refRespLines[rng.IntN(len(refRespLines))])...)
		default: // a piece goes anywhere
			in = slices.Insert(in, i, []byte(refRespPieces[rng.IntN(len(refRespPieces))])...)
		}
	}
	return in
}

// refRespDraw draws the code of a setup, often that of one GET.
func refRespDraw(rng *rand.Rand) (code uint32) {
	code = rng.Uint32() & (rng.Uint32() | 1<<18 - 1) &^ 7 &^ (15 << 18)
	if rng.IntN(2) == 0 {
		code &^= 7 << 3
	}
	if rng.IntN(4) == 0 {
		code |= rng.Uint32() & 7
	}
	if rng.IntN(3) == 0 {
		code |= (8 | rng.Uint32()&7) << 18
	}
	return code
}
