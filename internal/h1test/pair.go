package h1test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"postern/h1"
)

// Agree states a law: a client and a server that are joined by two wires, and do
// whatever is allowed in any order, end in the same states with the same decision
// on reuse, and each has read what the other wrote. choose returns a number below n
// and stands for all that callers and networks are free in.
func Agree(t TB, choose func(n int) int, steps int) {
	t.Helper()
	p := &pair{TB: t, choose: choose}
	cfg := &h1.Config{MaxPending: 1 + choose(4), MaxInfo: -1}
	p.client.Reset(cfg)
	p.server.Reset(cfg)
	for range steps {
		p.step()
	}
	p.finish()
	p.compare()
}

// pair is a client and a server. A message is recorded where it is written and
// where it is read.
type pair struct {
	TB
	choose func(n int) int

	client   h1.ClientConn
	server   h1.ServerConn
	up, down side // what the client and the server send

	abandoned bool
	finished  bool // the client has half-closed
}

// side is one direction.
type side struct {
	wire          []byte // in flight
	feed          Feeder // at the receiver
	written, read []exchanged
	owed          int // content still announced; -1: chunked
}

// exchanged is a message as its sender or its receiver knows it.
type exchanged struct {
	head     string
	fields   []string // those that begin with X-
	content  string
	trailer  []string
	complete bool
}

func (p *pair) step() {
	switch p.choose(9) {
	case 0:
		p.request()
	case 1, 2:
		p.write(&p.client, &p.up)
	case 3:
		p.respond()
	case 4, 5:
		p.write(&p.server, &p.down)
	case 6:
		p.deliver(&p.up, 1+p.choose(60))
	case 7:
		p.deliver(&p.down, 1+p.choose(60))
	case 8:
		p.rare()
	}
	p.drive()
}

// rare is what would end most runs at once if it came often.
func (p *pair) rare() {
	if p.choose(4) > 0 {
		return
	}
	switch client, _ := p.client.State(); p.choose(4) {
	case 0:
		p.client.DisableKeepAlive()
	case 1:
		p.server.DisableKeepAlive()
	case 2:
		if p.client.Abandon() == nil {
			p.abandoned = true
		} else if client == h1.Body {
			p.Fatalf("a request in %v cannot be abandoned", client)
		}
	case 3:
		last := len(p.up.written) - 1
		p.finished = p.finished || last < 0 || p.up.written[last].complete
	}
}

// call appends what f does to a wire, and checks that a refusal leaves dst alone.
func (p *pair) call(s *side, f func(dst []byte) ([]byte, error)) bool {
	const before = "before"
	out, err := f([]byte(before))
	rest, ok := bytes.CutPrefix(out, []byte(before))
	if !ok || err != nil && len(rest) > 0 {
		p.Fatalf("dst became %q with %v", out, err)
	}
	if e, local := err.(*h1.Error); err != nil && (!local || e.Remote) {
		p.Fatalf("a local error is %v", err)
	}
	s.wire = append(s.wire, rest...)
	return err == nil
}

func (p *pair) fields() []string {
	all := []string{"X-A: 1", "x-b: two words", "X-A:", "X-C: \xe4\t,;=\""}
	return all[:p.choose(len(all)+1)]
}

func (p *pair) request() {
	if p.finished {
		return
	}
	method := []string{"GET", "HEAD", "POST", "PUT", "CONNECT", "OPTIONS", "QUERY"}[p.choose(7)]
	target, host := "/a?b", "h:80"
	if method == "CONNECT" {
		target = host
	}
	m, owed := exchanged{head: method + " " + target, fields: p.fields()}, 0
	if p.call(&p.up, func(dst []byte) ([]byte, error) {
		w := p.client.Begin(dst, method, target, host)
		p.add(&w, m.fields)
		switch p.choose(4) {
		case 1:
			owed = p.choose(50)
			w.Length(int64(owed))
		case 2:
			owed = -1
			w.Chunked()
		}
		for _, f := range []string{"Expect: 100-continue", "Upgrade: x, y", "Connection: close, z", "TE: trailers"} {
			if p.choose(8) == 0 {
				p.add(&w, []string{f})
			}
		}
		return w.End()
	}) {
		p.up.written = append(p.up.written, m)
		p.up.owed = owed
	}
}

func (p *pair) respond() {
	if p.server.Phase() == h1.PhaseHead {
		return // it would give the request up
	}
	if p.choose(4) == 0 {
		status := []int{100, 102, 103}[p.choose(3)]
		if p.call(&p.down, func(dst []byte) ([]byte, error) { return p.server.AppendInfo(dst, status) }) {
			p.down.written = append(p.down.written, exchanged{head: fmt.Sprint(status), complete: true})
		}
		return
	}
	status := []int{200, 404, 204, 304, 205, 417, 101, 426}[p.choose(8)]
	m, owed := exchanged{head: fmt.Sprint(status), fields: p.fields()}, -1
	if p.call(&p.down, func(dst []byte) ([]byte, error) {
		w := p.server.Begin(dst, status)
		p.add(&w, m.fields)
		if p.choose(2) == 0 {
			owed = p.choose(50)
			w.Length(int64(owed))
		}
		if p.choose(8) == 0 {
			w.Close()
		}
		if status == 101 || status == 426 {
			w.Field("Upgrade", "y")
		}
		return w.End()
	}) {
		p.down.written = append(p.down.written, m)
		if p.down.owed = owed; status == 205 {
			p.down.owed = 0
		}
	}
}

func (p *pair) add(w *h1.HeadWriter, lines []string) {
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ":")
		w.Field(name, strings.TrimPrefix(value, " "))
	}
}

// write goes on with the message that c is sending.
func (p *pair) write(c Conn, s *side) {
	if p.choose(3) == 0 {
		p.end(c, s)
		return
	}
	p.data(c, s, strings.Repeat("abc", 9)[:p.choose(28)])
}

func (p *pair) data(c Conn, s *side, content string) {
	silent := c.Sending() == h1.FramingNone
	if p.call(s, func(dst []byte) ([]byte, error) {
		if p.choose(2) == 0 || silent {
			return c.AppendData(dst, []byte(content))
		}
		out, err := c.BeginData(dst, int64(len(content)))
		if err != nil {
			return out, err
		}
		return c.EndData(append(out, content...))
	}) {
		if s.owed >= 0 {
			s.owed -= len(content)
		}
		if !silent {
			s.written[len(s.written)-1].content += content
		}
	}
}

func (p *pair) end(c Conn, s *side) {
	var trailer []string
	if p.call(s, func(dst []byte) ([]byte, error) {
		if p.choose(2) == 0 || c.Sending() != h1.FramingChunked {
			return c.AppendEnd(dst)
		}
		w := c.BeginTrailer(dst)
		trailer = p.fields()
		p.add(&w, trailer)
		return w.End()
	}) {
		m := &s.written[len(s.written)-1]
		m.complete, m.trailer = true, trailer
	}
}

func (p *pair) deliver(s *side, n int) {
	n = min(n, len(s.wire))
	s.feed.Add(s.wire[:n])
	s.wire = s.wire[n:]
}

// drive lets both sides read what has arrived.
func (p *pair) drive() {
	if p.finished && len(p.up.wire) == 0 {
		p.server.CloseInput()
	}
	p.read(&p.server, &p.up)
	p.read(&p.client, &p.down)
}

func (p *pair) read(c Conn, s *side) {
	for {
		ev, err := s.feed.Next(c)
		if err != nil {
			if e := err.(*h1.Error); !p.abandoned || e.Code != h1.ErrUnexpectedEOF {
				p.Fatalf("%T: %v, having been sent %+v and read %+v", c, err, s.written, s.read)
			}
			return
		}
		h := HeadOf(c)
		switch ev.Kind {
		case h1.EventRequest:
			s.read = append(s.read, exchanged{head: fmt.Sprintf("%s %s", h.MethodBytes(), h.Target()), fields: extras(h)})
		case h1.EventInfo, h1.EventResponse:
			s.read = append(s.read, exchanged{head: fmt.Sprint(h.Status()), fields: extras(h), complete: ev.Kind == h1.EventInfo})
		case h1.EventData:
			s.read[len(s.read)-1].content += string(ev.Data)
		case h1.EventEnd:
			m := &s.read[len(s.read)-1]
			m.complete, m.trailer = true, extras(c.Trailer())
		default:
			return
		}
	}
}

func extras(h *h1.Head) (all []string) {
	for name, value := range h.All() {
		if strings.HasPrefix(strings.ToLower(string(name)), "x-") {
			all = append(all, strings.TrimSuffix(fmt.Sprintf("%s: %s", name, value), " "))
		}
	}
	return all
}

// finish lets everything that has begun come to its end.
func (p *pair) finish() {
	for range 100 {
		p.deliver(&p.up, len(p.up.wire))
		p.deliver(&p.down, len(p.down.wire))
		p.drive()
		p.complete(&p.client, &p.up)
		p.complete(&p.server, &p.down)
		if request, response := p.server.State(); request == h1.Done && response == h1.Idle {
			if p.call(&p.down, func(dst []byte) ([]byte, error) { return p.server.AppendResponse(dst, 403, "", []byte("no")) }) {
				m := exchanged{head: "403", content: "no", complete: true}
				if p.server.Request().Method() == h1.MethodHead {
					m.content = ""
				}
				p.down.written = append(p.down.written, m)
			}
		}
	}
	// A transport closes when its side can do nothing more.
	if p.server.ShouldClose() {
		p.client.CloseInput()
	}
	if p.client.ShouldClose() {
		p.server.CloseInput()
	}
	p.drive()
}

// complete ends the message that c is sending, if it is.
func (p *pair) complete(c Conn, s *side) {
	mine, theirs := c.State()
	if c == Conn(&p.server) {
		mine = theirs
	}
	if mine != h1.Body {
		return
	}
	if s.owed > 0 {
		p.data(c, s, strings.Repeat("z", s.owed))
	}
	p.end(c, s)
}

func (p *pair) compare() {
	if p.abandoned {
		return
	}
	cc, cs := p.client.State()
	sc, ss := p.server.State()
	if cc != sc || cs != ss {
		p.Fatalf("the client says %v %v, the server %v %v", cc, cs, sc, ss)
	}
	if p.client.ShouldClose() != p.server.ShouldClose() {
		p.Fatalf("the client would close: %v, the server: %v", p.client.ShouldClose(), p.server.ShouldClose())
	}
	if n := p.client.Pending(); n > 0 && cc != h1.Closed {
		p.Fatalf("%d requests are open at the end", n)
	}
	if cc == h1.Idle != p.client.CanBegin() {
		p.Fatalf("%v, but CanBegin is %v", cc, p.client.CanBegin())
	}
	p.same("request", p.up, cc == h1.Closed)
	p.same("response", p.down, false)
}

// same checks that what was read is what was written. A connection that closes may
// leave the last requests unread.
func (p *pair) same(what string, s side, cutOff bool) {
	for i, m := range s.read {
		w := s.written[i]
		if cutOff && i == len(s.read)-1 && !m.complete {
			w.content, w.complete, w.trailer = w.content[:len(m.content)], false, nil
		}
		if cutOff && w.content == m.content && w.trailer == nil {
			w.complete = m.complete // its last byte may have been sent before its end was told
		}
		for _, lines := range [][]string{w.fields, w.trailer} {
			for k := range lines {
				lines[k] = strings.TrimSuffix(lines[k], " ")
			}
		}
		if m.head != w.head || m.content != w.content || m.complete != w.complete ||
			!slices.Equal(m.fields, w.fields) || !slices.Equal(m.trailer, w.trailer) {
			p.Fatalf("%s %d was read as\n%+v\nand written as\n%+v", what, i, m, w)
		}
	}
	if len(s.read) < len(s.written) && !cutOff {
		p.Fatalf("of %d %ss %d were read", len(s.written), what, len(s.read))
	}
}
