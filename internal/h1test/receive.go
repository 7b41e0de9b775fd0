package h1test

import (
	"bytes"
	"strings"

	"postern/h1"
)

// Question is a request that waits for its response, as far as that depends on it.
type Question struct {
	Method                   string
	Upgrade, TECoding, Close bool
}

// Ask sends the questions on c, which has room for them. The last may be refused,
// since nothing is sent behind an offer; Ask returns those that were sent.
func Ask(t TB, c *h1.ClientConn, questions []Question) []Question {
	t.Helper()
	for i, q := range questions {
		if !c.CanBegin() {
			return questions[:i]
		}
		ask(t, c, q)
	}
	return questions
}

// ask returns a question's bytes.
func ask(t TB, c *h1.ClientConn, q Question) []byte {
	t.Helper()
	target, host := "/", "a:80"
	if q.Method == "CONNECT" {
		target = host
	}
	w := c.Begin(nil, q.Method, target, host)
	if q.Upgrade {
		w.Field("Upgrade", "x, y")
	}
	if q.TECoding {
		w.Field("TE", "trailers, gzip")
	}
	if q.Close {
		w.Close()
	}
	out, err := w.End()
	if err != nil {
		t.Fatalf("%+v refused: %v", q, err)
	}
	if out, err = c.AppendEnd(out); err != nil {
		t.Fatalf("the end of %+v refused: %v", q, err)
	}
	return out
}

// Receive feeds the pieces to a fresh client that has asked the questions and
// returns a log of all that happened, as Serve does for a server. The input ends
// cleanly or, if broken, does not.
func Receive(t TB, cfg *h1.Config, questions []Question, broken bool, pieces [][]byte) []string {
	t.Helper()
	var c h1.ClientConn
	p := &player{Conn: &c, fields: true}
	room := h1.Config{}
	if cfg != nil {
		room = *cfg
	}
	room.MaxPending = max(len(questions), 1)
	c.Reset(&room)
	open := len(Ask(t, &c, questions))
	var in int64
	var g grammar
	read := func() {
		for {
			before := p.feed.Left()
			ev, err := p.feed.Next(&c)
			if p.feed.Left() > before {
				t.Fatalf("consumed a negative number of bytes")
			}
			g.step(t, ev, err)
			switch {
			case err != nil:
				if p.last == nil {
					e := *err.(*h1.Error)
					p.last = &e
					p.logf("error %d at %d: %v", e.Status, e.Offset, e.Code)
				}
				if !c.ShouldClose() || c.CanBegin() {
					t.Fatalf("open after %v", err)
				}
				return
			case ev.Kind == h1.EventNeedData:
				return
			case ev.Kind == h1.EventClosed, ev.Kind == h1.EventSwitched:
				if c.CanBegin() {
					t.Fatalf("a request may begin on a connection that is over")
				}
				return
			case ev.Kind == h1.EventPaused:
				t.Fatalf("paused though every request has been sent")
			case ev.Kind == h1.EventEnd:
				open--
			}
			p.event(ev)
			if ev.Kind == h1.EventResponse {
				soundResponse(t, c.Response())
			}
		}
	}
	for _, piece := range pieces {
		in += int64(len(piece))
		p.feed.Add(piece)
		read()
	}
	if c.CloseInput(); broken {
		c.FailInput()
	}
	read()
	if got := p.feed.Total + int64(p.feed.Left()); got != in {
		t.Fatalf("%d bytes in, %d consumed and %d left", in, p.feed.Total, p.feed.Left())
	}
	if _, server := c.State(); server == h1.Closed && c.Pending() != open {
		t.Fatalf("%d requests are unanswered, and Pending says %d", open, c.Pending())
	}
	p.state()
	return p.log
}

// soundResponse checks that an accepted head does not say two things.
func soundResponse(t TB, h *h1.Head) {
	t.Helper()
	var te int
	lengths := make(map[string]bool)
	for n, v := range h.All() {
		switch strings.ToLower(string(n)) {
		case "transfer-encoding":
			te++
		case "content-length":
			for _, member := range strings.Split(string(v), ",") {
				lengths[strings.Trim(member, " \t")] = true
			}
		}
		if bytes.ContainsAny(v, "\r\n\x00") {
			t.Fatalf("value %q", v)
		}
	}
	_, told := h.ContentLength()
	switch h.Framing() {
	case h1.FramingLength:
		if te > 0 || len(lengths) != 1 || !told {
			t.Fatalf("framed by length with %d Transfer-Encoding and lengths %v", te, lengths)
		}
	case h1.FramingChunked:
		if te != 1 || told {
			t.Fatalf("chunked with %d Transfer-Encoding", te)
		}
	case h1.FramingClose:
		if len(lengths) > 0 && te == 0 {
			t.Fatalf("delimited by close with lengths %v", lengths)
		}
	}
}
