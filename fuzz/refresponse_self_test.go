package fuzz_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

const (
	refRespOK          = "HTTP/1.1 200 OK\r\n"
	refRespEmpty       = refRespOK + "Content-Length: 0\r\n\r\n"
	refRespCoded       = refRespOK + "Transfer-Encoding: chunked\r\n"
	refRespChunkedHead = refRespCoded + "\r\n"
)

// refRespCases say what responses mean. They are the seeds of mutations too.
var refRespCases = []struct {
	name string
	code uint32 // of the setup
	in   string
	want string // the result, and the names of its fault
}{
	// Lines and empty lines: RFC 9112 2.2.
	{"no request", refRespNone, "", `clean`},
	{"no answer", 0, "", `failed UnexpectedEOF`},
	{"empty lines", refRespTwo, "\r\n\r\n" + refRespEmpty + "\r\n\r\n" + refRespEmpty + "\r\n\r\n",
		`200 Content-Length="0" length "" persists; 200 Content-Length="0" length "" persists; clean`},
	{"third empty line", 0, "\r\n\r\n\r\n" + refRespEmpty, `failed Version|StatusLine`},
	{"LF before", refRespLF, "\n" + refRespEmpty, `failed Version|StatusLine`},
	{"LF", 0, "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", `failed BareLF`},
	{"LF in blank line", 0, refRespOK + "Content-Length: 0\r\n\n", `failed BareLF`},
	{"LFResponses", refRespLF, "HTTP/1.1 200 OK\nContent-Length: 2\r\nA: b\n c\n\nok",
		`200 Content-Length="2" A="b  c" length "ok" persists; clean`},
	{"CR", refRespLF, "HTTP/1.1 200 OK\rContent-Length: 0\r\n\r\n", `failed BareCR`},
	{"CR CR LF", 0, refRespOK + "A: b\r\r\n\r\n", `failed BareCR`},
	{"CR at the end", 0, refRespOK + "A: b\r", `failed UnexpectedEOF`},
	{"control first, then grammar", 0, refRespOK + "A b: c\x00\r\n\r\n", `failed Control`},
	{"DEL in reason", 0, "HTTP/1.1 200 \x7f\r\n\r\n", `failed Control`},
	{"CTLValues", refRespCTLs, refRespOK + "A: \x01b\x7f\x0b\r\n \x02\r\nContent-Length: 0\r\n\r\n",
		`200 A="\x01b\x7f\v   \x02" Content-Length="0" length "" persists; clean`},
	{"CTLValues but NUL", refRespCTLs, refRespOK + "A: b\x00\r\n\r\n", `failed Control`},
	{"CTLValues in a name", refRespCTLs, refRespOK + "A\x01: b\r\n\r\n", `failed FieldName|Control`},
	{"CTLValues in a reason", refRespCTLs, "HTTP/1.1 200 \x01\r\n\r\n", `failed StatusLine|Control`},

	// After the last response: RFC 9112 9.3.
	{"unsolicited", refRespNone, "H", `failed Unsolicited`},
	{"unsolicited LF", refRespNone | refRespLF, "\n", `failed Unsolicited`},
	{"unsolicited behind", 0, refRespEmpty + "\r\n" + refRespEmpty, `200 Content-Length="0" length "" persists; failed Unsolicited`},
	{"unsolicited CRLF", refRespNone, "\r\n\r\n\r\n", `failed Unsolicited`},
	{"unsolicited CR", 0, refRespEmpty + "\r", `200 Content-Length="0" length "" persists; failed UnexpectedEOF`},
	{"unsolicited CRs", refRespNone, "\r\r", `failed BareCR|Unsolicited`},
	{"unsolicited third CR", refRespNone, "\r\n\r\n\r", `failed UnexpectedEOF|Unsolicited`},
	{"breaks behind", refRespBreaks, refRespEmpty, `200 Content-Length="0" length "" persists; clean`},
	{"one answer of two", refRespTwo, refRespEmpty, `200 Content-Length="0" length "" persists; failed UnexpectedEOF`},

	// Status-line: RFC 9112 4.
	{"minor version", 0, "HTTP/1.7 200 OK\r\nContent-Length: 0\r\n\r\n", `200 Content-Length="0" length "" persists; clean`},
	{"version", 0, "HTTP/1,1 200 OK\r\n\r\n", `failed Version`},
	{"version case", 0, "http/1.1 200 OK\r\n\r\n", `failed Version`},
	{"major version", 0, "HTTP/2.0 200 OK\r\n\r\n", `failed VersionMajor`},
	{"no status", 0, "HTTP/1.1\r\n\r\n", `failed StatusLine`},
	{"two SP", 0, "HTTP/1.1  200 OK\r\n\r\n", `failed StatusLine`},
	{"status 099", 0, "HTTP/1.1 099 OK\r\n\r\n", `failed StatusLine`},
	{"four digits", 0, "HTTP/1.1 2000 OK\r\n\r\n", `failed StatusLine`},
	{"status 999, odd reason", 0, "HTTP/1.1 999  \t\xff \r\nContent-Length: 0\r\n\r\n",
		`999 " \t\xff " Content-Length="0" length "" persists; clean`},
	{"no SP, no reason", refRespTwo, "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\nHTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n",
		`404 "" Content-Length="0" length "" persists; 404 "" Content-Length="0" length "" persists; clean`},

	// Field lines: RFC 9112 5.
	{"OWS", refRespHEAD, refRespOK + "A:\r\nB:b\r\nC: \t c \xa0d\x85\t \r\n\r\n", `200 A="" B="b" C="c \xa0d\x85" persists; clean`},
	{"fold", refRespHEAD, refRespOK + "A: b \t\r\n\t c\r\n  \r\n d\r\nB:\r\n e\r\n \r\n\r\n",
		`200 A="b      c       d" B="e" persists; clean`},
	{"fold at first", 0, refRespOK + " A: b\r\n\r\n", `failed LeadingSpace`},
	{"control in a folded line", 0, refRespOK + "bad\r\n \x01\r\n\r\n", `failed Control`},
	{"name judged at the next line", 0, refRespOK + "bad\r\n\x01", `failed FieldName`},
	{"name judged too late", 0, refRespOK + "bad\r\n", `failed UnexpectedEOF`},
	{"no name", 0, refRespOK + ": a\r\n\r\n", `failed FieldName`},
	{"name is no token", 0, refRespOK + "a(b: c\r\n\r\n", `failed FieldName`},
	{"space before colon", 0, refRespOK + "A : b\r\n\r\n", `failed SpaceBeforeColon`},
	{"StripNameSpace", refRespStrip, refRespOK + "Content-Length \t: 1\r\n\r\nx", `200 Content-Length="1" length "x" persists; clean`},
	{"StripNameSpace in a name", refRespStrip, refRespOK + "A B : b\r\n\r\n", `failed FieldName`},
	{"head at its limit", refRespHEAD | refRespTight(refRespMaxHead, 25), refRespOK + "A: b\r\n\r\n", `200 A="b" persists; clean`},
	{"head over its limit", refRespHEAD | refRespTight(refRespMaxHead, 24), refRespOK + "A: b\r\n\r\n", `failed HeadTooLarge`},
	{"control at the limit", refRespTight(refRespMaxHead, 17), refRespOK + "\x00", `failed Control|HeadTooLarge`},
	{"faulty field at the limit", refRespTight(refRespMaxHead, 20), refRespOK + "A\r\nB: c\r\n\r\n", `failed FieldName|HeadTooLarge`},
	{"fields at their limit", refRespHEAD | refRespTight(refRespMaxFields, 2), refRespOK + "A: b\r\n c\r\nB: c\r\n\r\n",
		`200 A="b   c" B="c" persists; clean`},
	{"fields over their limit", refRespTight(refRespMaxFields, 1), refRespOK + "A: b\r\nA: b\r\n\r\n", `failed TooManyFields`},
	{"faulty field over the limit", refRespTight(refRespMaxFields, 1), refRespOK + "A: b\r\nB\r\n\r\n", `failed FieldName|TooManyFields`},
	{"32 empty members", 0, refRespEmpty[:len(refRespEmpty)-2] + "Connection:\r\nConnection: ,a" + strings.Repeat(", ", 32) + "b\r\n\r\n",
		`200 Content-Length="0" Connection="" Connection=",a` + strings.Repeat(", ", 32) + `b" length "" persists; clean`},
	{"33 empty members", 0, refRespOK + "Trailer: ,\r\nTrailer: " + strings.Repeat(",", 30) + "\r\n\r\n", `failed EmptyMembers`},
	{"empty members before framing", 0, refRespCoded + "Content-Length: 0\r\nUpgrade: " + strings.Repeat(",", 32) + "\r\n\r\n", `failed EmptyMembers`},

	// Interim responses, 101 and CONNECT: RFC 9110 15.2, 7.8, 9.3.6.
	{"interim", 0, "HTTP/1.1 103 Early Hints\r\nContent-Length: 3, 4\r\nTransfer-Encoding: x\r\n\r\n\r\n\r\n" + refRespEmpty,
		`info 103 "Early Hints" Content-Length="3, 4" Transfer-Encoding="x"; 200 Content-Length="0" length "" persists; clean`},
	{"interim only", 0, "HTTP/1.1 100\r\n\r\n", `info 100 ""; failed UnexpectedEOF`},
	{"interim at the limit", refRespTwo | refRespTight(refRespMaxInfo, 1),
		"HTTP/1.1 100\r\n\r\n" + refRespEmpty + "HTTP/1.0 199\r\nConnection: close\r\n\r\n" + refRespEmpty,
		`info 100 ""; 200 Content-Length="0" length "" persists; ` +
			`info HTTP/1.0 199 "" Connection="close"; 200 Content-Length="0" length "" persists; clean`},
	{"interim over the limit", refRespTight(refRespMaxInfo, 1), "HTTP/1.1 100\r\n\r\nHTTP/1.1 102\r\n\r\n", `info 100 ""; failed TooManyInfo`},
	{"101", refRespUpgrade, "HTTP/1.1 100\r\n\r\nHTTP/1.1 101 OK\r\nUpgrade: x\r\nContent-Length: x\r\n\r\n\r\nhi",
		`info 100 ""; 101 Upgrade="x" Content-Length="x" switched; switched left=4`},
	{"101 not offered", 0, "HTTP/1.1 101 OK\r\nUpgrade: x\r\n\r\n", `failed NotOffered`},
	{"101 without Upgrade", refRespUpgrade, "HTTP/1.1 101 OK\r\n\r\n", `failed NotOffered`},
	{"offer refused", refRespUpgrade, refRespEmpty, `200 Content-Length="0" length "" persists; clean`},
	{"tunnel", refRespCONNECT, "HTTP/1.1 299 OK\r\nTransfer-Encoding: x\r\nContent-Length: 1\r\n\r\nabc",
		`299 Transfer-Encoding="x" Content-Length="1" switched; switched left=3`},
	{"no tunnel", refRespCONNECT, "HTTP/1.1 300 OK\r\nContent-Length: 1\r\n\r\na", `300 Content-Length="1" length "a" persists; clean`},

	// Content: RFC 9112 6.
	{"HEAD", refRespHEAD | refRespTwo, refRespCoded + "Content-Length: x\r\n\r\n" + refRespEmpty,
		`200 Transfer-Encoding="chunked" Content-Length="x" persists; 200 Content-Length="0" length "" persists; clean`},
	{"head", refRespUnusual, refRespOK + "Content-Length: 1\r\n\r\nxy", `200 Content-Length="1" length "x"; closing left=1`},
	{"204 and 304", refRespTwo | refRespSecond(refRespClose), "HTTP/1.1 204 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.0 304 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
		`204 Content-Length="5" persists; HTTP/1.0 304 Transfer-Encoding="gzip"; closing left=1`},
	{"length", 0, refRespOK + "content-length: 0005\r\n\r\nhello", `200 content-length="0005" length "hello" persists; clean`},
	{"length not reached", 0, refRespOK + "Content-Length: 6\r\n\r\nhello", `200 Content-Length="6" length "hello" incomplete; failed UnexpectedEOF`},
	{"length repeated", 0, refRespOK + "Content-Length: 1 ,1\r\nContent-Length: 1\r\n\r\nx",
		`200 Content-Length="1 ,1" Content-Length="1" length "x" persists; clean`},
	{"lengths differ", 0, refRespOK + "Content-Length: 1\r\nContent-Length: 01\r\n\r\nx", `failed ContentLength|ContentLengths`},
	{"length list with a hole", 0, refRespOK + "Content-Length: 1,,1\r\n\r\nx", `failed ContentLength|ContentLengths`},
	{"empty length", 0, refRespOK + "Content-Length: \r\n\r\n", `failed ContentLength|ContentLengths`},
	{"signed length", 0, refRespOK + "Content-Length: +1\r\n\r\nx", `failed ContentLength|ContentLengths`},
	{"length 2^63", 0, refRespOK + "Content-Length: 9223372036854775808\r\n\r\n", `failed ContentLength|ContentLengths`},
	{"length of 20 digits", 0, refRespOK + "Content-Length: 00000000000000000001\r\n\r\nx", `failed ContentLength|ContentLengths`},
	{"length over the limit", refRespTight(refRespMaxBody, 4), refRespOK + "Content-Length: 5\r\n\r\nhello", `failed BodyTooLarge`},
	{"until close", 0, refRespOK + "\r\n\r\nhi", `200 close "\r\nhi"; closing`},
	{"until close, empty", refRespTwo, "HTTP/1.1 200\r\n\r\n", `200 "" close ""; closing`},
	{"until it breaks", refRespBreaks, refRespOK + "\r\nhi", `200 close "hi" incomplete; failed UnexpectedEOF`},
	{"until close at the limit", refRespTight(refRespMaxBody, 2), refRespOK + "\r\nhi", `200 close "hi"; closing`},
	{"until close over the limit", refRespBreaks | refRespTight(refRespMaxBody, 1), refRespOK + "\r\nhi",
		`200 close "h" incomplete; failed BodyTooLarge`},
	{"coding in HTTP/1.0", 0, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", `failed TransferEncoding10`},
	{"coding and length", 0, refRespCoded + "Content-Length: 1\r\n\r\n0\r\n\r\n", `failed LengthAndEncoding`},
	{"AcceptCLTE", refRespCLTE, refRespCoded + "Content-Length: x\r\n\r\n0\r\n\r\n!",
		`200 Transfer-Encoding="chunked" Content-Length="x" chunked ""; closing left=1`},
	{"two coding lines", refRespTE, refRespCoded + refRespChunkedHead[len(refRespOK):] + "0\r\n\r\n", `failed TransferEncoding`},
	{"codings", 0, refRespOK + "Transfer-Encoding: gzip ;a = \",\" , CHUNKED\r\n\r\n0\r\n\r\n", `failed TransferCoding`},
	{"codings without chunked", 0, refRespOK + "Transfer-Encoding: gzip\r\n\r\n", `failed TransferEncoding`},
	{"codings offered", refRespTE, refRespOK + "Transfer-Encoding: gzip ;a = \",\";b=c , CHUNKED\r\n\r\n0\r\n\r\n",
		`200 Transfer-Encoding="gzip ;a = \",\";b=c , CHUNKED" chunked "" persists; clean`},
	{"codings offered, until close", refRespTE, refRespOK + "Transfer-Encoding: gzip\r\n\r\nhi", `200 Transfer-Encoding="gzip" close "hi"; closing`},
	{"chunked twice", refRespTE, refRespOK + "Transfer-Encoding: chunked, chunked\r\n\r\n", `failed TransferEncoding`},
	{"chunked not last", refRespTE, refRespOK + "Transfer-Encoding: chunked, gzip\r\n\r\n", `failed TransferEncoding`},
	{"chunked with a parameter", refRespTE, refRespOK + "Transfer-Encoding: chunked;a=b\r\n\r\n", `failed TransferEncoding`},
	{"coding list with a hole", refRespTE, refRespOK + "Transfer-Encoding: gzip,,chunked\r\n\r\n", `failed TransferEncoding`},
	{"coding parameter without value", refRespTE, refRespOK + "Transfer-Encoding: gzip;a\r\n\r\n", `failed TransferEncoding`},
	{"coding parameter without =", refRespTE, refRespOK + "Transfer-Encoding: gzip;a\"b\"\r\n\r\n", `failed TransferEncoding`},
	{"coding with a Kelvin sign", refRespTE, refRespOK + "Transfer-Encoding: chun\u212aed\r\n\r\n", `failed TransferEncoding`},

	// The chunked coding: RFC 9112 7.1.
	{"chunks", 0, refRespChunkedHead + "5\r\nhello\r\n0000000000000001 ;a\t; b = c;d=\"\\\"\xff;\"\r\n!\r\n00;z\r\n\r\n",
		`200 Transfer-Encoding="chunked" chunked "hello!" persists; clean`},
	{"chunk cut", 0, refRespChunkedHead + "5\r\nhell", `200 Transfer-Encoding="chunked" chunked "hell" incomplete; failed UnexpectedEOF`},
	{"last-chunk missing", 0, refRespChunkedHead + "1\r\nx\r\n", `200 Transfer-Encoding="chunked" chunked "x" incomplete; failed UnexpectedEOF`},
	{"no size", 0, refRespChunkedHead + ";a\r\n", `200 Transfer-Encoding="chunked" chunked "" incomplete; failed ChunkSize`},
	{"size 0x", 0, refRespChunkedHead + "0x1\r\n", `200 Transfer-Encoding="chunked" chunked "" incomplete; failed ChunkSize`},
	{"size 2^63", 0, refRespChunkedHead + "8000000000000000\r\n", `200 Transfer-Encoding="chunked" chunked "" incomplete; failed ChunkSize`},
	{"size of 17 digits", 0, refRespChunkedHead + "00000000000000000\r\n\r\n", `200 Transfer-Encoding="chunked" chunked "" incomplete; failed ChunkSize`},
	{"space behind size", 0, refRespChunkedHead + "0 \r\n\r\n", `200 Transfer-Encoding="chunked" chunked "" incomplete; failed ChunkSize`},
	{"ChunkSizeSpace", refRespSpace, refRespChunkedHead + "1 \t\r\nx\r\n0 \r\n\r\n", `200 Transfer-Encoding="chunked" chunked "x" persists; clean`},
	{"space behind extension", refRespSpace, refRespChunkedHead + "0;a=b \r\n\r\n",
		`200 Transfer-Encoding="chunked" chunked "" incomplete; failed ChunkExtension`},
	{"empty extension", 0, refRespChunkedHead + "0;\r\n\r\n", `200 Transfer-Encoding="chunked" chunked "" incomplete; failed ChunkExtension`},
	{"control in extension", refRespCTLs, refRespChunkedHead + "0;a=\"\x01\"\r\n\r\n",
		`200 Transfer-Encoding="chunked" chunked "" incomplete; failed ChunkExtension`},
	{"LF behind size", refRespLF, refRespChunkedHead + "0\n\r\n", `200 Transfer-Encoding="chunked" chunked "" incomplete; failed BareLF`},
	{"CR behind size", 0, refRespChunkedHead + "0\rx", `200 Transfer-Encoding="chunked" chunked "" incomplete; failed BareCR`},
	{"LF behind chunk", refRespLF, refRespChunkedHead + "1\r\nx\n0\r\n\r\n", `200 Transfer-Encoding="chunked" chunked "x" incomplete; failed ChunkEnd`},
	{"chunk line at its limit", refRespTight(refRespMaxChunkLine, 3), refRespChunkedHead + "0;a\r\n\r\n",
		`200 Transfer-Encoding="chunked" chunked "" persists; clean`},
	{"chunk line over its limit", refRespTight(refRespMaxChunkLine, 2), refRespChunkedHead + "0;a\r\n\r\n",
		`200 Transfer-Encoding="chunked" chunked "" incomplete; failed ChunkLineTooLong`},
	{"LF over the limit of a chunk line", refRespTight(refRespMaxChunkLine, 1), refRespChunkedHead + "0\n",
		`200 Transfer-Encoding="chunked" chunked "" incomplete; failed BareLF|ChunkLineTooLong`},
	{"overhead at its limit", refRespTight(refRespMaxChunkOverhead, 4), refRespChunkedHead + "1;23456789012345678\r\nx\r\n0;2345678901234\r\n\r\n",
		`200 Transfer-Encoding="chunked" chunked "x" persists; clean`},
	{"overhead over its limit", refRespTight(refRespMaxChunkOverhead, 3), refRespChunkedHead + "1;23456789012345678\r\nx\r\n0;2345678901234\r\n\r\n",
		`200 Transfer-Encoding="chunked" chunked "x" incomplete; failed ChunkOverhead`},
	{"overhead paid back", refRespTight(refRespMaxChunkOverhead, 3),
		refRespChunkedHead + "1;23456789012345678\r\nx\r\n1\r\nx\r\n0;234567890123456\r\n\r\n",
		`200 Transfer-Encoding="chunked" chunked "xx" persists; clean`},
	{"chunks over the limit", refRespTight(refRespMaxBody, 5), refRespChunkedHead + "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n",
		`200 Transfer-Encoding="chunked" chunked "abc" incomplete; failed BodyTooLarge`},

	// Trailer sections: RFC 9112 7.1.2.
	{"trailer", 0, refRespChunkedHead + "0\r\nA: b\r\n\tc\r\nB:\r\n\r\n", `200 Transfer-Encoding="chunked" chunked "" +A="b   c" +B="" persists; clean`},
	{"fold at first in a trailer", 0, refRespChunkedHead + "0\r\n A: b\r\n\r\n",
		`200 Transfer-Encoding="chunked" chunked "" incomplete; failed LeadingSpace`},
	{"trailer field", 0, refRespChunkedHead + "0\r\nA: b\r\nCONTENT-length: 1\r\n\r\n",
		`200 Transfer-Encoding="chunked" chunked "" incomplete; failed TrailerField`},
	{"trailer at its limits", refRespTight(refRespMaxTrailer, 8), refRespChunkedHead + "0\r\nA: b\r\n\r\n",
		`200 Transfer-Encoding="chunked" chunked "" +A="b" persists; clean`},
	{"trailer over its limit", refRespTight(refRespMaxTrailer, 7), refRespChunkedHead + "0\r\nA: b\r\n\r\n",
		`200 Transfer-Encoding="chunked" chunked "" incomplete; failed TrailerTooLarge`},
	{"trailer fields over their limit", refRespTight(refRespMaxTrailerFields, 1), refRespChunkedHead + "0\r\nA: b\r\nA: b\r\n\r\n",
		`200 Transfer-Encoding="chunked" chunked "" incomplete; failed TooManyFields`},
	{"LF in a trailer", 0, refRespChunkedHead + "0\r\nA: b\n\r\n", `200 Transfer-Encoding="chunked" chunked "" incomplete; failed BareLF`},

	// Persistence: RFC 9112 9.3.
	{"close", refRespTwo, refRespEmpty[:len(refRespEmpty)-2] + "Connection: keep-alive, x\r\nConnection:y ,CLOSE\r\n\r\n" + refRespEmpty,
		`200 Content-Length="0" Connection="keep-alive, x" Connection="y ,CLOSE" length ""; closing left=38`},
	{"not quite close", 0, refRespEmpty[:len(refRespEmpty)-2] + "Connection: clo\u017fe, closed, \"close\"\r\n\r\n",
		`200 Content-Length="0" Connection="cloſe, closed, \"close\"" length "" persists; clean`},
	{"request said close", refRespClose, refRespEmpty + refRespEmpty, `200 Content-Length="0" length ""; closing left=38`},
	{"HTTP/1.0", 0, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", `HTTP/1.0 200 Content-Length="0" length ""; closing`},
	{"HTTP/1.0 keep-alive", 0, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n",
		`HTTP/1.0 200 Content-Length="0" Connection="Keep-Alive" length "" persists; clean`},
	{"HTTP/1.0 Kelvin-alive", 0, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: \u212aeep-alive\r\n\r\n",
		`HTTP/1.0 200 Content-Length="0" Connection="Keep-alive" length ""; closing`},
	{"three answers", refRespThree | refRespSecond(refRespHEAD), refRespChunkedHead + "0\r\n\r\n" + refRespChunkedHead + refRespOK + "\r\nx",
		`200 Transfer-Encoding="chunked" chunked "" persists; 200 Transfer-Encoding="chunked" persists; 200 close "x"; closing`},
}

// TestRefResp holds the reference to the rules, one or two rows for each.
func TestRefResp(t *testing.T) {
	for _, c := range refRespCases {
		res := refRespParse([]byte(c.in), refRespDecode(c.code))
		got := strings.TrimSpace(fmt.Sprint(res, " ", strings.Join(res.faults, "|")))
		if got != c.want {
			t.Errorf("%s: %q with %+v:\n got %s\nwant %s", c.name, c.in, refRespDecode(c.code), got, c.want)
		}
	}
}

// TestRefRespTruncated states a law: what is cut off leaves the parser without an
// end, or with content that only the close ends, and never with another fault.
func TestRefRespTruncated(t *testing.T) {
	for _, in := range refRespValid {
		setup := refRespDecode(0)
		whole := refRespParse([]byte(in), setup)
		if whole.end == refRespFailed {
			t.Errorf("%q: %v %q", in, whole, whole.faults)
		}
		for cut := range in {
			res := refRespParse([]byte(in[:cut]), setup)
			switch {
			case res.end == refRespFailed && fmt.Sprint(res.faults) == "[UnexpectedEOF]":
			case res.end == whole.end && strings.Trim(in[cut:], "\r\n") == "": // empty lines behind
			case res.end == refRespClosing && res.responses[len(res.responses)-1].framing == refRespUntilClose:
			default:
				t.Errorf("%q: %v %q", in[:cut], res, res.faults)
			}
		}
	}
}

// TestRefRespMutate counts how mutations end, so that none of the ends goes
// untested, and which faults they have.
func TestRefRespMutate(t *testing.T) {
	const n = 50_000
	seeds, rng := refRespSeeds(), rand.New(rand.NewPCG(9110, 9112))
	ends, faults := make(map[refRespEnd]int), make(map[string]int)
	for range n {
		in := refRespMutate(rng, seeds)
		res := refRespParse(in, refRespDecode(refRespDraw(rng)))
		ends[res.end]++
		for _, fault := range res.faults {
			faults[fault]++
		}
		if res.left > len(in) || (res.end == refRespFailed) != (len(res.faults) > 0) {
			t.Errorf("%q: %v %q", in, res, res.faults)
		}
	}
	for _, end := range []refRespEnd{refRespClean, refRespClosing, refRespFailed} {
		if ends[end] < n/6 {
			t.Errorf("only %d of %d mutated inputs end %s", ends[end], n, end)
		}
	}
	if ends[refRespSwitched] < n/100 {
		t.Errorf("only %d of %d mutated inputs switch", ends[refRespSwitched], n)
	}
	for _, c := range refRespCases {
		_, names, _ := strings.Cut(c.want, "failed ")
		for name := range strings.SplitSeq(names, "|") {
			if name != "" && faults[name] < 5 {
				t.Errorf("only %d of %d mutated inputs have the fault %s", faults[name], n, name)
			}
		}
	}
	t.Log(ends, faults)
}
