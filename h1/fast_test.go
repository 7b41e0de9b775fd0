package h1_test

import (
	"fmt"
	"strings"
	"testing"

	"postern/h1"
	"postern/internal/h1test"
)

// However a head differs from a plain one, in any byte, it means the same whole as
// byte by byte: what the fast path takes, the careful one takes too, and alike.
func TestFastPathAgrees(t *testing.T) {
	serve := func(pieces [][]byte) []string { return h1test.Serve(t, nil, pieces) }
	receive := func(pieces [][]byte) []string {
		return h1test.Receive(t, nil, []h1test.Question{{Method: "GET"}}, false, pieces)
	}
	heads := []string{
		"GET /a HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\nX-Y:z\r\n\r\n",
		"POST / HTTP/1.0\r\nTransfer-Encoding: a\r\nAge: 1\r\n\r\n",
		"CONNECT /a HTTP/1.1\r\nHost: a\r\nX-0123456789abc: d\r\n\r\n",
		"PUT /a HTTP/1.1\r\nHost: abcdefgh.ij\r\nConnection: close\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: y\r\n  z\r\nDate:\r\n\r\n",
	}
	odd := "\x00\x01\t\n\r\x1f !\"#,-./09:@AHZ[_`ahz{~\x7f\x80\xad\xba\xfe\xff"
	for _, head := range heads {
		play := serve
		if strings.HasPrefix(head, "HTTP/") {
			play = receive
		}
		for at := range len(head) {
			for _, b := range []byte(odd) {
				msg := []byte(head)
				msg[at] = b
				h1test.Split(t, play, msg, h1test.Bytewise)
				msg = []byte(head[:at] + string([]byte{b}) + head[at:])
				h1test.Split(t, play, msg, h1test.Bytewise)
			}
		}
	}
}

// Names and values of every length, at every distance from the words that they are
// looked for in, and the table they are put in growing on the way.
func TestLengths(t *testing.T) {
	for n := range 80 {
		var b strings.Builder
		b.WriteString("GET /" + strings.Repeat("p", n) + " HTTP/1.1\r\nHost: a" + strings.Repeat("b", n) + "\r\n")
		for k := range 40 {
			b.WriteString("X" + strings.Repeat("n", n) + ":" + strings.Repeat(" ", k%4) + strings.Repeat("v", (n+k)%50) + strings.Repeat("\t", k%3) + "\r\n")
		}
		b.WriteString("\r\n")
		msg := []byte(b.String())
		h1test.Split(t, func(pieces [][]byte) []string { return h1test.Serve(t, nil, pieces) }, msg, h1test.Every(7))
		var c h1.ServerConn
		if ev, _, err := c.Next(msg); err != nil || ev.Kind != h1.EventRequest {
			t.Fatal(ev, err)
		}
		for k := range 40 {
			name, value := c.Request().At(1 + k)
			if want := fmt.Sprintf("X%s: %s", strings.Repeat("n", n), strings.Repeat("v", (n+k)%50)); string(name)+": "+string(value) != want {
				t.Fatalf("line %d: %s: %s, want %s", k, name, value, want)
			}
		}
	}
}

// A field is found by its first line wherever that stands, also by a connection that
// has had as many lines before.
func TestFirstOfMany(t *testing.T) {
	cfg := &h1.Config{MaxFields: 1500, MaxHead: 1 << 16}
	var c h1.ServerConn
	for _, before := range []int{700, 0, 100, 253, 254, 255, 256, 257, 600} {
		for _, odd := range []string{"", "Odd: \t-\r\n"} { // wants care, and the table its place
			many := strings.Repeat("X: y\r\n", before)
			msg := "GET / HTTP/1.1\r\n" + many + "Host: a\r\n" + odd + "Accept: 1\r\nAccept: 2\r\n" + many + "Accept: 3\r\n\r\n"
			c.Reset(cfg)
			if ev, _, err := c.Next([]byte(msg)); err != nil || ev.Kind != h1.EventRequest {
				t.Fatal(ev, err)
			}
			h := c.Request()
			host, _ := h.Get(h1.FieldHost)
			accept := ""
			for v := range h.Values(h1.FieldAccept) {
				accept += string(v)
			}
			if first, _ := h.Get(h1.FieldAccept); string(host) != "a" || string(first) != "1" || accept != "123" {
				t.Errorf("behind %d lines: Host is %q, Accept %q and all %q", before, host, first, accept)
			}
		}
	}
}
