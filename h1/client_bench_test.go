package h1_test

import (
	"strings"
	"testing"

	"postern/h1"
)

// clientCases are exchanges that a client makes all day.
var clientCases = []struct {
	name, in string
	ask      func(tb testing.TB, c *h1.ClientConn, out []byte) []byte
}{
	{"GET", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello", askGet},
	{"chunked both ways", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", askChunked},
	{"folded", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\nX: a\r\n b\r\nConnection: x,\r\n y\r\n\r\nhello", askGet},
	{"upgrade refused", "HTTP/1.1 426 No\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n", askUpgrade},
	{"16 pipelined", strings.Repeat("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 16), func(tb testing.TB, c *h1.ClientConn, out []byte) []byte {
		for range 16 {
			out = askGet(tb, c, out)
		}
		return out
	}},
}

func askGet(tb testing.TB, c *h1.ClientConn, out []byte) []byte {
	w := c.Begin(out, "GET", "/a?b=c", "example.org")
	w.Known(h1.FieldAccept, "*/*")
	return ended(tb, c, w)
}

func askUpgrade(tb testing.TB, c *h1.ClientConn, out []byte) []byte {
	w := c.Begin(out, "GET", "/", "example.org")
	w.Known(h1.FieldUpgrade, "websocket")
	return ended(tb, c, w)
}

func askChunked(tb testing.TB, c *h1.ClientConn, out []byte) []byte {
	w := c.Begin(out, "PUT", "/a?b=c", "example.org")
	w.Known(h1.FieldExpect, "100-continue")
	w.Chunked()
	out, err := w.End()
	if err == nil {
		out, err = c.AppendData(out, []byte("hello"))
	}
	if err != nil {
		tb.Fatal(err)
	}
	return ended(tb, c, c.BeginTrailer(out))
}

// ended ends a head, and after it the request if it has not ended.
func ended(tb testing.TB, c *h1.ClientConn, w h1.HeadWriter) []byte {
	out, err := w.End()
	if client, _ := c.State(); err == nil && client == h1.Body {
		out, err = c.AppendEnd(out)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// hear reads all responses.
func hear(tb testing.TB, c *h1.ClientConn, in []byte) {
	for c.Pending() > 0 {
		ev, n, err := c.Next(in)
		if err != nil || ev.Kind == h1.EventNeedData {
			tb.Fatal(ev.Kind, err)
		}
		in = in[n:]
	}
}

func TestClientAllocations(t *testing.T) {
	for _, tc := range clientCases {
		var c h1.ClientConn
		c.Reset(&h1.Config{MaxPending: 16})
		out, in := make([]byte, 0, 16<<10), []byte(tc.in)
		if n := testing.AllocsPerRun(100, func() {
			out = tc.ask(t, &c, out[:0])
			hear(t, &c, append(in[:0], tc.in...)) // folded lines are overwritten
		}); n != 0 {
			t.Errorf("%s: %v allocations a run", tc.name, n)
		}
	}
}

// A proxy's exchange: a request is read and sent on, and its response is too.
func TestProxyAllocations(t *testing.T) {
	var s h1.ServerConn
	var c h1.ClientConn
	request := []byte("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-End: 2\r\n\r\nhello")
	response := []byte("HTTP/1.1 200 Fine\r\nX-End: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")
	const wantUp = "POST /a HTTP/1.1\r\nHost: x\r\nX-End: 2\r\nContent-Length: 5\r\n\r\nhello"
	const wantDown = "HTTP/1.1 200 Fine\r\nX-End: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"
	up, down := make([]byte, 0, 1<<10), make([]byte, 0, 1<<10)
	exchange := func() {
		var err error
		up, down = up[:0], down[:0]
		for in := request; err == nil; {
			ev, n, fault := s.Next(in)
			if err = fault; ev.Kind == h1.EventPaused {
				break
			}
			in = in[n:]
			switch ev.Kind {
			case h1.EventRequest:
				r := s.Request()
				w := c.BeginBytes(up, r.MethodBytes(), r.Target(), r.Authority())
				w.CopyFields(r, nil)
				up, err = w.End()
			case h1.EventData:
				up, err = c.AppendData(up, ev.Data)
			case h1.EventEnd:
				up, err = c.AppendEnd(up)
			}
		}
		for in := response; err == nil && c.Pending() > 0; {
			ev, n, fault := c.Next(in)
			err, in = fault, in[n:]
			switch ev.Kind {
			case h1.EventResponse:
				r := c.Response()
				w := s.Begin(down, r.Status())
				w.Reason("Fine")
				w.CopyFields(r, nil)
				down, err = w.End()
			case h1.EventData:
				down, err = s.AppendData(down, ev.Data)
			case h1.EventEnd:
				w := s.BeginTrailer(down)
				w.CopyFields(c.Trailer(), nil)
				down, err = w.End()
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(100, exchange); n != 0 {
		t.Errorf("%v allocations an exchange", n)
	}
	if string(up) != wantUp || string(down) != wantDown {
		t.Errorf("sent\n%q\nand\n%q", up, down)
	}
}

func BenchmarkClient(b *testing.B) {
	for _, tc := range clientCases {
		b.Run(tc.name, func(b *testing.B) {
			var c h1.ClientConn
			c.Reset(&h1.Config{MaxPending: 16})
			out, in := make([]byte, 0, 16<<10), []byte(tc.in)
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				out = tc.ask(b, &c, out[:0])
				hear(b, &c, append(in[:0], tc.in...))
			}
		})
	}
}
