package h1_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postern/h1"
	"postern/internal/h1test"
)

// Content that someone else moves past the connection leaves everything as if the
// connection had seen it.
func TestSkipBodyIsReading(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := h1test.Requests().Draw(t, "request")
		read := func(skip func(c *h1.ServerConn, in []byte) int) (log []string, content string) {
			var c h1.ServerConn
			for in := m.Bytes; ; {
				ev, n, err := c.Next(in)
				if err != nil {
					t.Fatalf("%q: %v", m.Bytes, err)
				}
				in = in[n:]
				switch content += string(ev.Data); ev.Kind {
				case h1.EventRequest, h1.EventEnd:
					client, server := c.State()
					log = append(log, fmt.Sprint(ev.Kind, len(in), client, server, c.Phase(), c.Trailer().Len()))
				case h1.EventPaused, h1.EventNeedData:
					return append(log, ev.Kind.String()), content
				}
				n = skip(&c, in)
				content, in = content+string(in[:n]), in[n:]
			}
		}
		plain, all := read(func(*h1.ServerConn, []byte) int { return 0 })
		skipped, same := read(func(c *h1.ServerConn, in []byte) int {
			left, last := c.BodyRemaining()
			if left > int64(len(in)) || last && m.Chunked {
				t.Fatalf("%d bytes remain of %d, last: %v", left, len(in), last)
			}
			n := int64(rapid.IntRange(0, int(left)).Draw(t, "skip"))
			if err := c.SkipBody(n); err != nil && (n > 0 || left > 0) {
				t.Fatalf("skipping %d of %d: %v", n, left, err)
			}
			if err := c.SkipBody(left - n + 1); err == nil {
				t.Fatalf("skipped more than the %d bytes that remained", left-n)
			}
			return int(n)
		})
		if !slices.Equal(plain, skipped) || all != same {
			t.Fatalf("%q: with SkipBody\n%s %q\nwithout\n%s %q", m.Bytes, strings.Join(skipped, "; "), same, strings.Join(plain, "; "), all)
		}
	})
}

// A head whose bytes have moved reads as before, once it is told.
func TestRebase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := h1test.Requests().Draw(t, "request")
		var c h1.ServerConn
		in := slices.Clone(m.Bytes)
		if _, _, err := c.Next(in); err != nil {
			t.Fatal(err)
		}
		describe := func(h *h1.Head) string {
			s := fmt.Sprintf("%s %s %s %v", h.MethodBytes(), h.Target(), h.Authority(), h.Framing())
			for name, value := range h.All() {
				again, _ := h.Lookup(string(name))
				s += fmt.Sprintf(" %q=%q %q", name, value, again)
			}
			return s
		}
		before, clone := describe(c.Request()), c.Request().Clone()
		moved := slices.Clone(c.Request().Raw())
		c.Request().Rebase(moved)
		clear(in)
		if got := describe(c.Request()); got != before {
			t.Fatalf("moved: %s\nbefore: %s", got, before)
		}
		clear(moved)
		if got := describe(clone); got != before {
			t.Fatalf("cloned: %s\nbefore: %s", got, before)
		}
	})
}
