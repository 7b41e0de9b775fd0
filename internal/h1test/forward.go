package h1test

import (
	"bytes"
	"slices"

	"postern/h1"
)

// ForwardRequests states a law: what a proxy makes of requests is what it forwards of
// that again, byte for byte. It returns how many of the requests in in could be
// forwarded: those that cfg does not refuse, that are complete, and that may be sent.
func ForwardRequests(t TB, cfg *h1.Config, in []byte) int {
	t.Helper()
	once := forwardRequests(t, cfg, in)
	return again(t, in, once, func(in []byte) []forwarded { return forwardRequests(t, unlimited, in) })
}

// ForwardResponses states the same law for the responses to questions.
func ForwardResponses(t TB, cfg *h1.Config, questions []Question, in []byte) int {
	t.Helper()
	once := forwardResponses(t, cfg, questions, in)
	answered := make([]Question, len(once))
	for i := range once {
		answered[i] = once[i].question
	}
	return again(t, in, once, func(in []byte) []forwarded { return forwardResponses(t, unlimited, answered, in) })
}

// unlimited is strict: what has been forwarded needs no leniency.
var unlimited = &h1.Config{MaxTarget: -1, MaxHead: -1, MaxFields: -1, MaxTrailer: -1, MaxTrailerFields: -1,
	MaxChunkLine: -1, MaxChunkOverhead: -1, MaxInfo: -1}

// forwarded is a message as it was sent on.
type forwarded struct {
	question Question // that a response answers
	wire     []byte   // with the interim responses before it
	content  []byte
}

func again(t TB, in []byte, once []forwarded, forward func(in []byte) []forwarded) int {
	t.Helper()
	var wire []byte
	for _, m := range once {
		wire = append(wire, m.wire...)
	}
	twice := forward(wire)
	for i, m := range once {
		switch {
		case i == len(twice):
			t.Fatalf("%q is not forwarded again, having been made of %q", m.wire, in)
		case !bytes.Equal(m.wire, twice[i].wire):
			t.Fatalf("%q\nis forwarded as %q\nand again as    %q", in, m.wire, twice[i].wire)
		case !bytes.Equal(m.content, twice[i].content):
			t.Fatalf("%q: content %q became %q", in, m.content, twice[i].content)
		}
	}
	return len(once)
}

// forwardRequests forwards each request on a connection of its own.
func forwardRequests(t TB, cfg *h1.Config, in []byte) (sent []forwarded) {
	t.Helper()
	var c h1.ServerConn
	c.Reset(cfg)
	var m forwarded
	var up *h1.ClientConn
	err := error(nil) // the upstream's
	for in = slices.Clone(in); ; {
		ev, n, fault := c.Next(in)
		if in = in[n:]; fault != nil {
			return sent
		}
		switch ev.Kind {
		case h1.EventRequest:
			m, up = forwarded{}, new(h1.ClientConn)
			m.wire, err = forwardRequest(up, c.Request())
		case h1.EventData:
			if m.content = append(m.content, ev.Data...); err == nil {
				m.wire, err = up.AppendData(m.wire, ev.Data)
			}
		case h1.EventEnd:
			if err == nil {
				m.wire, err = forwardEnd(up, m.wire, c.Trailer())
			}
			if err == nil {
				sent = append(sent, m)
			}
			status := 200
			if c.Request().Method() == h1.MethodConnect {
				status = 501 // 2xx would be a tunnel
			}
			if _, err := c.AppendResponse(nil, status, "", nil); err != nil {
				t.Fatalf("response refused: %v", err)
			}
		default:
			return sent
		}
	}
}

func forwardRequest(up *h1.ClientConn, h *h1.Head) ([]byte, error) {
	w := up.BeginBytes(nil, h.MethodBytes(), origin(h), h.Authority())
	if h.Framing() == h1.FramingChunked {
		w.Chunked()
	}
	w.CopyFields(h, nil)
	if h.HasToken(h1.FieldTE, "trailers") {
		w.Known(h1.FieldTE, "trailers")
	}
	if h.OffersUpgrade() && h.NoBody() {
		for v := range h.Values(h1.FieldUpgrade) {
			w.FieldBytes("Upgrade", v)
		}
	}
	return w.End()
}

// origin returns the request-target as an origin server takes it (RFC 9112 3.2.1).
func origin(h *h1.Head) []byte {
	target := h.Target()
	if h.TargetForm() != h1.FormAbsolute {
		return target
	}
	_, rest, _ := bytes.Cut(target, []byte("://"))
	rest = rest[len(h.Authority()):]
	switch {
	case len(rest) == 0 && h.Method() == h1.MethodOptions:
		return []byte("*") // RFC 9112 3.2.4
	case len(rest) == 0 || rest[0] == '?':
		return append([]byte("/"), rest...)
	}
	return rest
}

// forwardResponses forwards each response to who asked on a connection of its own.
func forwardResponses(t TB, cfg *h1.Config, questions []Question, in []byte) (sent []forwarded) {
	t.Helper()
	var c h1.ClientConn
	room := h1.Config{}
	if cfg != nil {
		room = *cfg
	}
	room.MaxPending = max(len(questions), 1)
	c.Reset(&room)
	questions = Ask(t, &c, questions)
	var m forwarded
	var down *h1.ServerConn
	err := error(nil) // of who asked
	for in = slices.Clone(in); ; {
		ev, n, fault := c.Next(in)
		if in = in[n:]; fault != nil {
			return sent
		}
		switch ev.Kind {
		case h1.EventInfo, h1.EventResponse:
			if down == nil {
				m, down, err = forwarded{question: questions[0]}, questioned(t, questions[0]), nil
			}
			if err == nil {
				m.wire, err = forwardResponse(down, m.wire, c.Response())
			}
		case h1.EventData:
			if m.content = append(m.content, ev.Data...); err == nil {
				m.wire, err = down.AppendData(m.wire, ev.Data)
			}
		case h1.EventEnd, h1.EventSwitched:
			if err == nil && ev.Kind == h1.EventEnd {
				m.wire, err = forwardEnd(down, m.wire, c.Trailer())
			}
			if err == nil {
				sent = append(sent, m)
			}
			if ev.Kind == h1.EventSwitched {
				return sent
			}
			questions, down = questions[1:], nil
		case h1.EventNeedData:
			c.CloseInput()
		default:
			return sent
		}
	}
}

// questioned returns a server that has been asked.
func questioned(t TB, q Question) *h1.ServerConn {
	t.Helper()
	c := new(h1.ServerConn)
	for in := ask(t, new(h1.ClientConn), q); ; {
		ev, n, err := c.Next(in)
		if err != nil {
			t.Fatalf("%+v refused by a server: %v", q, err)
		}
		if in = in[n:]; ev.Kind == h1.EventEnd {
			return c
		}
	}
}

func forwardResponse(down *h1.ServerConn, dst []byte, h *h1.Head) ([]byte, error) {
	w := down.Begin(dst, h.Status())
	if reason := h.Reason(); len(reason) > 0 {
		w.Reason(string(reason))
	}
	w.CopyFields(h, nil)
	return w.End()
}

// forwardEnd ends a message with the trailer section that it came with, if there is a
// place for that.
func forwardEnd(c Conn, dst []byte, trailer *h1.Head) ([]byte, error) {
	if trailer.Len() > 0 && c.Sending() == h1.FramingChunked {
		w := c.BeginTrailer(dst)
		w.CopyFields(trailer, nil)
		return w.End()
	}
	return c.AppendEnd(dst)
}
