package h1_test

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"postern/h1"
	"postern/internal/h1test"
)

func TestReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h1test.ReadBack(t, h1test.Requests().Draw(t, "request"))
	})
}

// small are limits that generated requests run into.
var small = &h1.Config{MaxTarget: 30, MaxHead: 250, MaxFields: 8, MaxTrailer: 60, MaxTrailerFields: 3, MaxChunkLine: 16, MaxChunkOverhead: 40, MaxBody: 150}

func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in []byte
		for _, m := range rapid.SliceOfN(h1test.Requests(), 1, 3).Draw(t, "requests") {
			in = append(in, m.Bytes...)
		}
		in = h1test.Mutate(t, in)
		cfg := rapid.SampledFrom([]*h1.Config{nil, small}).Draw(t, "limits")
		play := func(pieces [][]byte) []string { return h1test.Serve(t, cfg, pieces) }
		h1test.Split(t, play, in, h1test.Bytewise)
		h1test.Split(t, play, in, h1test.Cuts(t))
	})
}

// A head that just fits is taken, and one byte more is refused, by each limit.
func TestLimitsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := h1test.Requests().Draw(t, "request")
		head := bytes.Index(m.Bytes, []byte("\r\n\r\n")) + 4
		skipped := 0
		for bytes.HasPrefix(m.Bytes[skipped:], []byte("\r\n")) {
			skipped += 2
			head = bytes.Index(m.Bytes[skipped:], []byte("\r\n\r\n")) + 4
		}
		for _, l := range []struct {
			exact, less h1.Config
			code        h1.Code
		}{
			{h1.Config{MaxHead: head}, h1.Config{MaxHead: head - 1}, h1.ErrHeadTooLarge},
			{h1.Config{MaxFields: len(m.Fields)}, h1.Config{MaxFields: max(len(m.Fields)-1, 1)}, h1.ErrTooManyFields},
			{h1.Config{MaxTarget: len(m.Target)}, h1.Config{MaxTarget: max(len(m.Target)-1, 1)}, h1.ErrTargetTooLong},
		} {
			if err := firstError(&l.exact, m.Bytes); err != nil {
				t.Fatalf("%+v: %v", l.exact, err)
			}
			if l.code == h1.ErrTooManyFields && len(m.Fields) == 1 || l.code == h1.ErrTargetTooLong && len(m.Target) == 1 {
				continue
			}
			err := firstError(&l.less, m.Bytes)
			if e, ok := err.(*h1.Error); !ok || e.Code != l.code {
				t.Fatalf("%+v: got %v, want %v", l.less, err, l.code)
			}
		}
	})
}

func firstError(cfg *h1.Config, in []byte) error {
	var c h1.ServerConn
	c.Reset(cfg)
	for {
		ev, n, err := c.Next(in)
		if err != nil || ev.Kind == h1.EventEnd || ev.Kind == h1.EventNeedData {
			return err
		}
		in = in[n:]
	}
}

// A prefix of a request is never taken for a request.
func TestTruncation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := h1test.Requests().Draw(t, "request")
		in := m.Bytes[:rapid.IntRange(0, len(m.Bytes)-1).Draw(t, "length")]
		var c h1.ServerConn
		for {
			ev, n, err := c.Next(in)
			in = in[n:]
			switch {
			case err != nil:
				return
			case ev.Kind == h1.EventEnd:
				t.Fatalf("a prefix of %q ended", m.Bytes)
			case ev.Kind == h1.EventClosed:
				if len(in) > 0 {
					t.Fatalf("closed with %d bytes left", len(in))
				}
				return
			case ev.Kind == h1.EventNeedData:
				c.CloseInput()
			}
		}
	})
}

// A call that is refused changes nothing: the same calls without it give the same
// bytes and the same state.
func TestRefusedCallsChangeNothing(t *testing.T) {
	type call struct {
		name string
		do   func(c *h1.ServerConn, dst []byte) ([]byte, error)
	}
	head := func(status int, fields ...string) call {
		return call{fmt.Sprint("head ", status, fields), func(c *h1.ServerConn, dst []byte) ([]byte, error) {
			w := c.Begin(dst, status)
			for i := 0; i < len(fields); i += 2 {
				w.Field(fields[i], fields[i+1])
			}
			return w.End()
		}}
	}
	calls := []call{
		head(200), head(200, "Content-Length", "5"), head(204), head(103, "X", "y"), head(100),
		head(200, "X", "a\r\nb"), head(200, "Content-Length", "1", "Transfer-Encoding", "chunked"),
		head(200, "Connection", "close"), head(99), head(200, "Content-Length", "5", "Content-Length", "5"),
		{"data", func(c *h1.ServerConn, dst []byte) ([]byte, error) { return c.AppendData(dst, []byte("abc")) }},
		{"end", func(c *h1.ServerConn, dst []byte) ([]byte, error) { return c.AppendEnd(dst) }},
		{"respond", func(c *h1.ServerConn, dst []byte) ([]byte, error) {
			return c.AppendResponse(dst, 200, "a/b", []byte("x"))
		}},
		{"begin data", func(c *h1.ServerConn, dst []byte) ([]byte, error) { return c.BeginData(dst, 2) }},
		{"end data", func(c *h1.ServerConn, dst []byte) ([]byte, error) { return c.EndData(dst) }},
		{"info", func(c *h1.ServerConn, dst []byte) ([]byte, error) { return c.AppendInfo(dst, 102) }},
	}
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SampledFrom([]string{
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "",
		}).Draw(t, "input")
		var tried, clean h1.ServerConn
		drive := func(c *h1.ServerConn) {
			for b := []byte(in); ; {
				ev, n, err := c.Next(b)
				b = b[n:]
				if err != nil || ev.Kind == h1.EventPaused || ev.Kind == h1.EventNeedData || ev.Kind == h1.EventClosed {
					return
				}
			}
		}
		drive(&tried)
		drive(&clean)
		var a, b []byte
		for range rapid.IntRange(1, 8).Draw(t, "calls") {
			c := rapid.SampledFrom(calls).Draw(t, "call")
			before := string(a)
			var err error
			if a, err = c.do(&tried, a); err != nil {
				if string(a) != before {
					t.Fatalf("%s failed with %v and appended %q", c.name, err, a[len(before):])
				}
				if e := err.(*h1.Error); e.Remote || e.Status != 0 {
					t.Fatalf("%s: %+v blames the peer", c.name, e)
				}
				continue
			}
			if b, err = c.do(&clean, b); err != nil {
				t.Fatalf("%s: %v only where nothing had been refused", c.name, err)
			}
			if !bytes.Equal(a, b) {
				t.Fatalf("%s: %q, without refused calls %q", c.name, a, b)
			}
			ac, as := tried.State()
			bc, bs := clean.State()
			if ac != bc || as != bs || tried.ShouldClose() != clean.ShouldClose() || tried.WantsContinue() != clean.WantsContinue() {
				t.Fatalf("%s: state %v %v, without refused calls %v %v", c.name, ac, as, bc, bs)
			}
		}
	})
}
