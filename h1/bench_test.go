package h1_test

import (
	"errors"
	"strings"
	"testing"

	"postern/h1"
)

const (
	smallGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	browser  = "GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg HTTP/1.1\r\nHost: www.kittyhell.com\r\n" +
		"User-Agent: Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10.6; ja-JP-mac; rv:1.9.2.3) Gecko/20100401 Firefox/3.6.3 Pathtraq/0.9\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: ja,en-us;q=0.7,en;q=0.3\r\n" +
		"Accept-Encoding: gzip,deflate\r\nAccept-Charset: Shift_JIS,utf-8;q=0.7,*;q=0.7\r\nKeep-Alive: 115\r\nConnection: keep-alive\r\n" +
		"Cookie: wp_ozh_wsa_visits=2; wp_ozh_wsa_visit_lasttime=xxxxxxxxxx; __utma=xxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.x\r\n\r\n"
	putLength = "PUT /kv/a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789"
	chunked   = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"
)

// exchange answers every request in in, and returns what it appended to out.
func exchange(tb testing.TB, c *h1.ServerConn, in, out []byte, respond func(out []byte) ([]byte, error)) []byte {
	for {
		ev, n, err := c.Next(in)
		in = in[n:]
		switch {
		case err != nil:
			tb.Fatal(err)
		case ev.Kind == h1.EventEnd:
			if out, err = respond(out); err != nil {
				tb.Fatal(err)
			}
		case ev.Kind == h1.EventNeedData:
			return out
		}
	}
}

func cases(c *h1.ServerConn) []struct {
	name, in string
	respond  func(out []byte) ([]byte, error)
} {
	body := []byte("Hello, World!")
	whole := func(out []byte) ([]byte, error) { return c.AppendResponse(out, 200, "text/plain", body) }
	return []struct {
		name, in string
		respond  func(out []byte) ([]byte, error)
	}{
		{"small", smallGet, whole},
		{"browser", browser, whole},
		{"length", putLength, whole},
		{"pipelined", strings.Repeat(smallGet, 16), whole},
		{"chunked", chunked, func(out []byte) ([]byte, error) {
			w := c.Begin(out, 200)
			w.Field("X-A", "b")
			w.Int(h1.FieldAge, 7)
			out, err := w.End()
			for range 2 {
				if err == nil {
					out, err = c.AppendData(out, body)
				}
			}
			if err != nil {
				return out, err
			}
			return c.AppendEnd(out)
		}},
	}
}

// Parsing and answering allocate nothing.
func TestNoAllocations(t *testing.T) {
	var c h1.ServerConn
	out := make([]byte, 0, 16<<10)
	for _, tc := range cases(&c) {
		in := []byte(tc.in)
		if n := testing.AllocsPerRun(100, func() { out = exchange(t, &c, in, out[:0], tc.respond) }); n != 0 {
			t.Errorf("%s: %v allocations a run", tc.name, n)
		}
	}
	bad := []byte("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() {
		c.Reset(nil)
		_, _, err := c.Next(bad)
		if e, ok := errors.AsType[*h1.Error](err); !ok || e.Code != h1.ErrContentLength || !errors.Is(err, h1.ErrContentLength) {
			t.Errorf("got %v", err)
		}
		if out, err = c.AppendErrorResponse(out[:0], err); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("a rejected request: %v allocations a run", n)
	}
}

func BenchmarkExchange(b *testing.B) {
	var c h1.ServerConn
	out := make([]byte, 0, 16<<10)
	for _, tc := range cases(&c) {
		b.Run(tc.name, func(b *testing.B) {
			in := []byte(tc.in)
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				out = exchange(b, &c, in, out[:0], tc.respond)
			}
		})
	}
}

func BenchmarkHead(b *testing.B) {
	for _, tc := range []struct{ name, in string }{{"small", smallGet}, {"browser", browser}} {
		b.Run(tc.name, func(b *testing.B) {
			var c h1.ServerConn
			in := []byte(tc.in)
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				c.Reset(nil)
				if ev, _, err := c.Next(in); err != nil || ev.Kind != h1.EventRequest {
					b.Fatal(ev, err)
				}
			}
		})
	}
}
