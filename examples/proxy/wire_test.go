package main_test

import (
	"bufio"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
)

// Exchanges, byte by byte: what the client sends and gets, and what the upstream gets
// and sends. Line ends stand for CRLF, and D for the date that the proxy adds.
var exchanges = []struct {
	name string
	sent string // by the client
	seen string // by the upstream; "": nothing is forwarded
	said string // by the upstream, which then closes
	got  string // by the client
}{{
	name: "fields for one connection stay on it, the others keep order and case",
	sent: "GET /a?b HTTP/1.1\nHost: x:8\nX-one: 1\nConnection: keep-alive, X-Hop\nX-HOP: 2\nKeep-Alive: 5\nTE: trailers, gzip\nx-One: 3\n\n",
	seen: "GET /a?b HTTP/1.1\nHost: x:8\nX-one: 1\nx-One: 3\nTE: trailers\nX-Forwarded-For: 127.0.0.1\nVia: 1.1 postern\nConnection: TE\n\n",
	said: "HTTP/1.1 200 Fine\nDate: today\nConnection: close, x-hop\nX-Hop: 1\nSet-Cookie: a\nSet-Cookie: b\nContent-Length: 2\n\nhi",
	got:  "HTTP/1.1 200 Fine\nDate: today\nSet-Cookie: a\nSet-Cookie: b\nVia: 1.1 postern\nContent-Length: 2\n\nhi",
}, {
	name: "what a client says about itself is replaced",
	sent: "GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 10.0.0.1\nForwarded: for=10.0.0.1\nVia: 1.0 cache\n\n",
	seen: "GET / HTTP/1.1\nHost: x\nVia: 1.0 cache\nX-Forwarded-For: 127.0.0.1\nVia: 1.1 postern\n\n",
	said: "HTTP/1.1 204 No Content\nDate: today\n\n",
	got:  "HTTP/1.1 204 No Content\nDate: today\nVia: 1.1 postern\n\n",
}, {
	name: "absolute-form becomes origin-form, and its authority Host",
	sent: "GET http://real:1?q HTTP/1.1\nHost: other\n\n",
	seen: "GET /?q HTTP/1.1\nHost: real:1\nX-Forwarded-For: 127.0.0.1\nVia: 1.1 postern\n\n",
	said: "HTTP/1.1 204 No Content\nDate: today\n\n",
	got:  "HTTP/1.1 204 No Content\nDate: today\nVia: 1.1 postern\n\n",
}, {
	name: "OPTIONS in absolute-form without a path is for the server",
	sent: "OPTIONS http://x HTTP/1.1\nHost: x\nMax-Forwards: 1\n\n",
	seen: "OPTIONS * HTTP/1.1\nHost: x\nMax-Forwards: 0\nX-Forwarded-For: 127.0.0.1\nVia: 1.1 postern\n\n",
	said: "HTTP/1.1 200 OK\nDate: today\nContent-Length: 0\n\n",
	got:  "HTTP/1.1 200 OK\nDate: today\nVia: 1.1 postern\nContent-Length: 0\n\n",
}, {
	name: "and ends here when it may go no further",
	sent: "OPTIONS * HTTP/1.1\nHost: x\nMax-Forwards: 0\n\n",
	got:  "HTTP/1.1 200 OK\nContent-Type: text/plain; charset=utf-8\nDate: D\nContent-Length: 16\n\nthis is a proxy\n",
}, {
	name: "Content-Length cannot be talked away",
	sent: "POST / HTTP/1.1\nHost: x\nConnection: content-length, host\nContent-Length: 2\n\nhi",
	seen: "POST / HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nVia: 1.1 postern\nContent-Length: 2\n\nhi",
	said: "HTTP/1.1 200 OK\nDate: today\nConnection: content-length\nContent-Length: 2\n\nok",
	got:  "HTTP/1.1 200 OK\nDate: today\nVia: 1.1 postern\nContent-Length: 2\n\nok",
}, {
	name: "trailer sections, both ways",
	sent: "PUT / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nTrailer: X-Sum\n\n2;ext=1\nhi\n0\nX-Sum: 7\n\n",
	seen: "PUT / HTTP/1.1\nHost: x\nTrailer: X-Sum\nX-Forwarded-For: 127.0.0.1\nVia: 1.1 postern\nTransfer-Encoding: chunked\n\n2\nhi\n0\nX-Sum: 7\n\n",
	said: "HTTP/1.1 200 OK\nDate: today\nTransfer-Encoding: chunked\n\n3\nabc\n00\nX-a: 1\nx-A: 2\n\n",
	got:  "HTTP/1.1 200 OK\nDate: today\nVia: 1.1 postern\nTransfer-Encoding: chunked\n\n3\nabc\n0\nX-a: 1\nx-A: 2\n\n",
}, {
	name: "a field that no trailer section should have is left out",
	sent: "GET / HTTP/1.1\nHost: x\n\n",
	seen: "GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nVia: 1.1 postern\n\n",
	said: "HTTP/1.1 200 OK\nDate: today\nTransfer-Encoding: chunked\n\n3\nabc\n0\nX-A: 1\nExpires: 0\n\n",
	got:  "HTTP/1.1 200 OK\nDate: today\nVia: 1.1 postern\nTransfer-Encoding: chunked\n\n3\nabc\n0\nX-A: 1\n\n",
}, {
	name: "HEAD has no content, whatever is said about it",
	sent: "HEAD /1 HTTP/1.1\nHost: x\n\n",
	seen: "HEAD /1 HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nVia: 1.1 postern\n\n",
	said: "HTTP/1.1 200 OK\nDate: today\nContent-Length: 1000\n\n",
	got:  "HTTP/1.1 200 OK\nDate: today\nVia: 1.1 postern\nContent-Length: 1000\n\n",
}, {
	name: "neither has 304",
	sent: "GET / HTTP/1.1\nHost: x\nIf-None-Match: \"a\"\n\n",
	seen: "GET / HTTP/1.1\nHost: x\nIf-None-Match: \"a\"\nX-Forwarded-For: 127.0.0.1\nVia: 1.1 postern\n\n",
	said: "HTTP/1.1 304 Not Modified\nETag: \"a\"\nContent-Length: 1000\n\n",
	got:  "HTTP/1.1 304 Not Modified\nETag: \"a\"\nVia: 1.1 postern\nDate: D\nContent-Length: 1000\n\n",
}, {
	name: "nor 204, which may not even give a length",
	sent: "GET / HTTP/1.1\nHost: x\n\n",
	seen: "GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nVia: 1.1 postern\n\n",
	said: "HTTP/1.1 204 No Content\nDate: today\nContent-Length: 0\n\n",
	got:  "HTTP/1.1 204 No Content\nDate: today\nVia: 1.1 postern\n\n",
}, {
	name: "content that ends with the connection becomes chunks",
	sent: "GET / HTTP/1.1\nHost: x\n\n",
	seen: "GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nVia: 1.1 postern\n\n",
	said: "HTTP/1.0 200 OK\nDate: today\n\nhello",
	got:  "HTTP/1.1 200 OK\nDate: today\nVia: 1.0 postern\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n",
}, {
	name: "chunks become content that ends with the connection, for HTTP/1.0, which has no interim responses",
	sent: "GET / HTTP/1.0\nConnection: keep-alive\nExpect: 100-continue\n\n",
	seen: "GET / HTTP/1.1\nHost: \nX-Forwarded-For: 127.0.0.1\nVia: 1.0 postern\n\n",
	said: "HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 200 OK\nDate: today\nTransfer-Encoding: chunked\n\n3\nabc\n0\nX-A: 1\n\n",
	got:  "HTTP/1.1 200 OK\nDate: today\nVia: 1.1 postern\nConnection: close\n\nabc",
}, {
	name: "no connection to an HTTP/1.0 client persists",
	sent: "GET / HTTP/1.0\nConnection: keep-alive\nHost: x\n\n",
	seen: "GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nVia: 1.0 postern\n\n",
	said: "HTTP/1.1 200 OK\nDate: today\nContent-Length: 0\n\n",
	got:  "HTTP/1.1 200 OK\nDate: today\nVia: 1.1 postern\nContent-Length: 0\nConnection: close\n\n",
}, {
	name: "interim responses come before the final one",
	sent: "GET / HTTP/1.1\nHost: x\n\n",
	seen: "GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nVia: 1.1 postern\n\n",
	said: "HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 103\nContent-Length: 3\n\nHTTP/1.1 200 OK\nDate: today\nContent-Length: 0\n\n",
	got:  "HTTP/1.1 103 Early Hints\nLink: </a>\nVia: 1.1 postern\n\nHTTP/1.1 103 Early Hints\nVia: 1.1 postern\n\nHTTP/1.1 200 OK\nDate: today\nVia: 1.1 postern\nContent-Length: 0\n\n",
}, {
	name: "folded lines and space before a colon are mended",
	sent: "GET / HTTP/1.1\nHost: x\n\n",
	seen: "GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nVia: 1.1 postern\n\n",
	said: "HTTP/1.1 200\nDate : today\nX: a\n b\nContent-Length: 2, 2\n\nhi",
	got:  "HTTP/1.1 200 OK\nDate: today\nX: a   b\nVia: 1.1 postern\nContent-Length: 2\n\nhi",
}, {
	name: "an expectation without content is none",
	sent: "GET / HTTP/1.1\nHost: x\nExpect: 100-continue\n\n",
	seen: "GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nVia: 1.1 postern\n\n",
	said: "HTTP/1.1 200 OK\nDate: today\nContent-Length: 0\n\n",
	got:  "HTTP/1.1 200 OK\nDate: today\nVia: 1.1 postern\nContent-Length: 0\n\n",
}, {
	name: "426 says to what",
	sent: "GET / HTTP/1.1\nHost: x\n\n",
	seen: "GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nVia: 1.1 postern\n\n",
	said: "HTTP/1.1 426 Upgrade Required\nDate: today\nUpgrade: x\nConnection: upgrade\nContent-Length: 0\n\n",
	got:  "HTTP/1.1 426 Upgrade Required\nDate: today\nUpgrade: x\nVia: 1.1 postern\nContent-Length: 0\nConnection: upgrade\n\n",
}, {
	name: "an offer of HTTP/2 is not passed on",
	sent: "GET / HTTP/1.1\nHost: x\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: a\n\n",
	seen: "GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nVia: 1.1 postern\n\n",
	said: "HTTP/1.1 200 OK\nDate: today\nContent-Length: 0\n\n",
	got:  "HTTP/1.1 200 OK\nDate: today\nVia: 1.1 postern\nContent-Length: 0\n\n",
}, {
	name: "CONNECT ends here",
	sent: "CONNECT x:1 HTTP/1.1\nHost: x:1\n\n",
	got:  "HTTP/1.1 501 Not Implemented\nContent-Type: text/plain; charset=utf-8\nDate: D\nContent-Length: 30\n\nno CONNECT through this proxy\n",
}, {
	name: "a request with two framings ends here, and so does its connection",
	sent: "POST / HTTP/1.1\nHost: x\nContent-Length: 6\nTransfer-Encoding: chunked\n\n0\n\nGET / HTTP/1.1\nHost: x\n\n",
	got:  "HTTP/1.1 400 Bad Request\nContent-Type: text/plain; charset=utf-8\nDate: D\nContent-Length: 40\nConnection: close\n\nContent-Length beside Transfer-Encoding\n",
}, {
	name: "so does one that is malformed",
	sent: "GET / HTTP/1.1\nHost: x\nX : y\n\nGET / HTTP/1.1\nHost: x\n\n",
	got:  "HTTP/1.1 400 Bad Request\nContent-Type: text/plain; charset=utf-8\nDate: D\nContent-Length: 36\nConnection: close\n\nwhitespace before the field's colon\n",
}}

func TestExchanges(t *testing.T) {
	for _, tt := range exchanges {
		t.Run(tt.name, func(t *testing.T) {
			seen := make(chan string, 1)
			addr := start(t, listen(t, func(n int, c *net.TCPConn, in *bufio.Reader) {
				request := make([]byte, len(crlf(tt.seen)))
				m, _ := io.ReadFull(in, request)
				seen <- string(request[:m])
				io.WriteString(c, crlf(tt.said))
				c.CloseWrite()
				rest, _ := io.ReadAll(in)
				if len(rest) > 0 {
					t.Errorf("the upstream got %q too", rest)
				}
			}))
			got := added.ReplaceAllString(talk(t, addr, crlf(tt.sent)), "Date: D\r\n")
			got = strings.ReplaceAll(got, "\r\n", "\n")
			if tt.seen != "" {
				if got := <-seen; got != crlf(tt.seen) {
					t.Errorf("the upstream got\n%s\nwant\n%s", got, crlf(tt.seen))
				}
			} else if len(seen) > 0 {
				t.Error("the upstream was asked")
			}
			if got != tt.got {
				t.Errorf("the client got\n%s\nwant\n%s", got, crlf(tt.got))
			}
		})
	}
}

var added = regexp.MustCompile(`Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n`)

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// What an upstream must not say is not passed on.
func TestMalformedUpstream(t *testing.T) {
	for _, response := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n",
		"HTTP/1.1 205 Reset Content\r\nContent-Length: 1\r\n\r\nx",
		"SSH-2.0-OpenSSH\r\n",
		"HTTP/1.1 200 OK\r\nContent-Le",
		strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 33),
		"",
	} {
		got := talk(t, start(t, says(t, response)), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if i := strings.LastIndex(got, "HTTP/1.1 "); i < 0 || !strings.HasPrefix(got[i:], "HTTP/1.1 502 Bad Gateway\r\n") || strings.Contains(got, "200 OK") {
			t.Errorf("%.60q: %q", response, got)
		}
	}
}
