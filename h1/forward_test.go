package h1_test

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postern/h1"
	"postern/internal/h1test"
)

// Field lines that a proxy forgets, writes in another way or must not touch.
var (
	oddLines = []string{
		"Connection: X-A, , keep-alive\r\n", "Keep-Alive: 5\r\n", "X-A: hop\r\n", "ETag: a\r\nETag:\tb \r\n", "Via:\r\n", "Trailer: T\r\n",
		"X-Fold: a \r\n\t b\r\n  \r\n c\r\nX-Fold:\r\n d\r\n", "x-a:\xff \x80\t\r\nX-A:  2\r\nx-b: ,\r\nX-a:3\r\n", "Proxy-Connection: close\r\n",
		"Connection: content-length, host,Transfer-Encoding\r\n",
	}
	oddRequestLines  = append([]string{"Expect: 100-continue\r\n", "TE: trailers;q=1, gzip\r\n", "Connection: TE, upgrade\r\nUpgrade: x/1 , y\r\nupgrade: z\r\n"}, oddLines...)
	oddResponseLines = append([]string{"Upgrade: x\r\nConnection: upgrade\r\n", "Server: a\r\nServer: b\r\n"}, oddLines...)
)

// strange draws field lines and puts them behind the first start-line of m.
func strange(t *rapid.T, m []byte, lines []string) []byte {
	odd := strings.Join(rapid.SliceOfN(rapid.SampledFrom(lines), 0, 4).Draw(t, "odd lines"), "")
	blank := len(m) - len(bytes.TrimLeft(m, "\r\n"))
	line, rest, _ := bytes.Cut(m[blank:], []byte("\r\n"))
	return bytes.Join([][]byte{m[:blank], line, []byte("\r\n" + odd), rest}, nil)
}

// Forwarding is idempotent: a proxy behind a proxy changes nothing more.
func TestForwardRequests(t *testing.T) {
	cfg := &h1.Config{FoldRequests: true}
	rapid.Check(t, func(t *rapid.T) {
		var in []byte
		messages := rapid.SliceOfN(h1test.Requests(), 1, 3).Draw(t, "requests")
		for i, m := range messages {
			b := strange(t, m.Bytes, oddRequestLines)
			switch absolute := []byte(" http://a.example:80/"); {
			case m.Method == "OPTIONS": // any other form means something else
			case rapid.Bool().Draw(t, "absolute"):
				b = bytes.Replace(b, []byte(" /"), absolute, 1)
			}
			if last := i == len(messages)-1; last && !m.Chunked && rapid.Bool().Draw(t, "HTTP/1.0") {
				b = bytes.Replace(b, []byte(" HTTP/1.1\r\n"), []byte(" HTTP/1.0\r\n"), 1)
			}
			in = append(in, b...)
		}
		if n := h1test.ForwardRequests(t, cfg, in); n != len(messages) {
			t.Fatalf("%d of %d requests forwarded: %q", n, len(messages), in)
		}
		h1test.ForwardRequests(t, cfg, h1test.Mutate(t, in))
	})
}

func TestForwardResponses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in []byte
		var questions []h1test.Question
		answers := h1test.Conversations().Draw(t, "answers")
		for _, a := range answers {
			questions = append(questions, a.Question)
			in = append(in, strange(t, a.Bytes, oddResponseLines)...)
		}
		if last := &answers[len(answers)-1]; !last.ToClose && last.Question.Method != "CONNECT" && rapid.Bool().Draw(t, "101") {
			questions = append(questions, h1test.Question{Method: "GET", Upgrade: true})
			in = append(in, strange(t, []byte("HTTP/1.1 101 \r\nUpgrade: y\r\n\r\nleft"), oddLines)...)
		}
		if n := h1test.ForwardResponses(t, nil, questions, in); n != len(questions) {
			t.Fatalf("%d of %d responses forwarded: %q", n, len(questions), in)
		}
		var cfg h1.Config
		lenient(t, &cfg)
		h1test.ForwardResponses(t, &cfg, questions, h1test.Mutate(t, in))
	})
}
