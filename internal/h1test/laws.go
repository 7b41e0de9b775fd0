package h1test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"postern/h1"
)

// TB is what a law needs of a test.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Serve feeds the pieces to a fresh server, answers every request, and returns a
// log of all that happened. It checks on the way what must hold for any input:
// every byte is accounted for, the events form a sentence, and after an error or
// a close nothing comes.
func Serve(t TB, cfg *h1.Config, pieces [][]byte) []string {
	t.Helper()
	var c h1.ServerConn
	p := &player{Conn: &c, fields: true}
	c.Reset(cfg)
	var in int64
	var g grammar
	answer := func() {
		for {
			before := p.feed.Left()
			ev, err := p.feed.Next(&c)
			if p.feed.Left() > before {
				t.Fatalf("consumed a negative number of bytes")
			}
			g.step(t, ev, err)
			if err != nil {
				if p.last == nil {
					e := *err.(*h1.Error)
					p.last = &e
					p.logf("error %d at %d: %v", e.Status, e.Offset, e.Code)
					if _, server := c.State(); server == h1.Idle {
						if _, err := c.AppendErrorResponse(nil, err); err != nil {
							t.Fatalf("error response refused: %v", err)
						}
					}
					if !c.ShouldClose() {
						t.Fatalf("open after %v and its response", &e)
					}
				}
				return
			}
			switch ev.Kind {
			case h1.EventNeedData, h1.EventClosed:
				return
			case h1.EventPaused:
				t.Fatalf("paused though every request is answered")
			}
			p.event(ev)
			switch ev.Kind {
			case h1.EventRequest:
				oneFraming(t, c.Request())
			case h1.EventEnd:
				status := 200
				if c.Request().Method() == h1.MethodConnect {
					status = 501 // 2xx would be a tunnel
				}
				if _, err := c.AppendResponse(nil, status, "", nil); err != nil {
					t.Fatalf("response refused: %v", err)
				}
			}
		}
	}
	for _, piece := range pieces {
		in += int64(len(piece))
		p.feed.Add(piece)
		answer()
	}
	c.CloseInput()
	answer()
	if got := p.feed.Total + int64(p.feed.Left()); got != in {
		t.Fatalf("%d bytes in, %d consumed and %d left", in, p.feed.Total, p.feed.Left())
	}
	p.state()
	return p.log
}

// Split states a law: where the input is cut never changes what it means. play is
// Serve or Receive.
func Split(t TB, play func(pieces [][]byte) []string, msg []byte, cut func([]byte) [][]byte) {
	t.Helper()
	whole, parts := play(Whole(msg)), play(cut(msg))
	if !slices.Equal(whole, parts) {
		t.Fatalf("cutting changed %q:\n got %s\nwant %s", msg, strings.Join(parts, "\n     "), strings.Join(whole, "\n     "))
	}
}

// Lenient states a law: what is accepted without a flag means the same with it.
func Lenient(t TB, play func(cfg *h1.Config, pieces [][]byte) []string, strict, lenient *h1.Config, msg []byte) {
	t.Helper()
	before := play(strict, Whole(msg))
	if slices.ContainsFunc(before, func(s string) bool { return strings.HasPrefix(s, "error ") }) {
		return
	}
	if after := play(lenient, Whole(msg)); !slices.Equal(before, after) {
		t.Fatalf("a flag of %+v changed %q:\n got %s\nwant %s", lenient, msg, strings.Join(after, "\n     "), strings.Join(before, "\n     "))
	}
}

// ReadBack states a law: a generated request is understood as it was meant.
func ReadBack(t TB, m Message) {
	t.Helper()
	var c h1.ServerConn
	var content []byte
	for in := m.Bytes; ; {
		keep := append([]byte(nil), in...)
		ev, n, err := c.Next(in)
		if err != nil {
			t.Fatalf("%q refused: %v", m.Bytes, err)
		}
		if !bytes.Equal(keep, in) {
			t.Fatalf("input was written to")
		}
		in = in[n:]
		switch ev.Kind {
		case h1.EventRequest:
			h := c.Request()
			if string(h.MethodBytes()) != m.Method || string(h.Target()) != m.Target {
				t.Fatalf("got %s %s, want %s %s", h.MethodBytes(), h.Target(), m.Method, m.Target)
			}
			sameFields(t, h, m.Fields)
		case h1.EventData:
			content = append(content, ev.Data...)
		case h1.EventEnd:
			if string(content) != m.Content {
				t.Fatalf("content %q, want %q", content, m.Content)
			}
			sameFields(t, c.Trailer(), m.Trailer)
			if len(in) > 0 {
				t.Fatalf("%d bytes left behind the message", len(in))
			}
			return
		default:
			t.Fatalf("%v in the middle of %q", ev.Kind, m.Bytes)
		}
	}
}

func sameFields(t TB, h *h1.Head, want [][2]string) {
	t.Helper()
	var got [][2]string
	for n, v := range h.All() {
		got = append(got, [2]string{string(n), string(v)})
	}
	if !slices.Equal(got, want) {
		t.Fatalf("fields %q, want %q", got, want)
	}
}

// oneFraming checks that an accepted head cannot be read in two ways.
func oneFraming(t TB, h *h1.Head) {
	t.Helper()
	var te, cl, host int
	for n := range h.All() {
		switch strings.ToLower(string(n)) {
		case "transfer-encoding":
			te++
		case "content-length":
			cl++
		case "host":
			host++
		}
	}
	want := h1.FramingNone
	switch {
	case te == 1:
		want = h1.FramingChunked
	case cl == 1:
		want = h1.FramingLength
	}
	if te+cl > 1 || host > 1 || h.Framing() != want {
		t.Fatalf("accepted %d Transfer-Encoding, %d Content-Length, %d Host as %v", te, cl, host, h.Framing())
	}
}

// grammar checks that events form sentences: (Request Data* End)* for a server,
// (Info* Response (Data* End | Switched))* for a client, then Closed or one error,
// and the same for ever.
type grammar struct {
	inside, over bool
	last         string
}

func (g *grammar) step(t TB, ev h1.Event, err error) {
	t.Helper()
	now := ev.Kind.String()
	if err != nil {
		now = fmt.Sprintf("error %v", err)
	}
	if g.over && now != g.last {
		t.Fatalf("%s after %s", now, g.last)
	}
	switch {
	case err != nil, ev.Kind == h1.EventClosed:
		g.over = true
	case ev.Kind == h1.EventSwitched:
		if !g.inside {
			t.Fatalf("%s after %s", now, g.last)
		}
		g.over = true
	case (ev.Kind == h1.EventRequest || ev.Kind == h1.EventInfo || ev.Kind == h1.EventResponse) && g.inside,
		(ev.Kind == h1.EventData || ev.Kind == h1.EventEnd) && !g.inside:
		t.Fatalf("%s after %s", now, g.last)
	case ev.Kind == h1.EventData && len(ev.Data) == 0:
		t.Fatalf("data without data")
	case ev.Kind == h1.EventRequest || ev.Kind == h1.EventResponse:
		g.inside = true
	case ev.Kind == h1.EventEnd:
		g.inside = false
	}
	if ev.Kind != h1.EventNeedData || err != nil {
		g.last = now
	}
}
