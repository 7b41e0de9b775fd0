package h1test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"postern/h1"
)

// Conn is what both roles of a connection have.
type Conn interface {
	Next(in []byte) (ev h1.Event, n int, err error)
	CloseInput()
	FailInput()
	BodyRemaining() (n int64, last bool)
	SkipBody(n int64) error
	Trailer() *h1.Head
	AppendData(dst, p []byte) ([]byte, error)
	AppendEnd(dst []byte) ([]byte, error)
	BeginData(dst []byte, n int64) ([]byte, error)
	EndData(dst []byte) ([]byte, error)
	Sending() h1.Framing
	BeginTrailer(dst []byte) h1.HeadWriter
	DisableKeepAlive()
	Fail()
	ShouldClose() bool
	ShouldLinger() bool
	WantsContinue() bool
	Phase() h1.Phase
	State() (client, server h1.State)
}

// HeadOf returns the head that c is reading or has read last.
func HeadOf(c Conn) *h1.Head {
	if cl, ok := c.(*h1.ClientConn); ok {
		return cl.Response()
	}
	return c.(*h1.ServerConn).Request()
}

// Run plays the transcript and returns its log. The input of every recv reaches
// the connection in the pieces that cut makes of it.
func (t *Transcript) Run(cut func(piece []byte) [][]byte) ([]string, error) {
	var p *player
	for _, s := range t.Commands {
		name, args, err := split(s)
		switch {
		case err != nil:
		case name == "server":
			p, err = newPlayer(new(h1.ServerConn), args)
		case name == "client":
			p, err = newPlayer(new(h1.ClientConn), args)
		case p == nil:
			err = errors.New("no connection yet")
		default:
			err = p.do(name, args, cut)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", t.Name, s, err)
		}
	}
	p.state()
	return p.log, nil
}

// player is a connection and the log of what it did.
type player struct {
	Conn
	feed   Feeder
	fields bool
	chunks bool
	log    []string
	last   error // the last remote error
}

func newPlayer(c Conn, options []string) (*player, error) {
	p := &player{Conn: c}
	var cfg h1.Config
	limits := map[string]func(int){
		"target":   func(n int) { cfg.MaxTarget = n },
		"head":     func(n int) { cfg.MaxHead = n },
		"fields":   func(n int) { cfg.MaxFields = n },
		"trailer":  func(n int) { cfg.MaxTrailer = n },
		"trailers": func(n int) { cfg.MaxTrailerFields = n },
		"chunk":    func(n int) { cfg.MaxChunkLine = n },
		"overhead": func(n int) { cfg.MaxChunkOverhead = n },
		"body":     func(n int) { cfg.MaxBody = int64(n) },
		"info":     func(n int) { cfg.MaxInfo = n },
		"pending":  func(n int) { cfg.MaxPending = n },
	}
	flags := map[string]*bool{
		"fields": &p.fields, "chunks": &p.chunks,
		"StrictTarget": &cfg.StrictTarget, "CloseHTTP10": &cfg.CloseHTTP10,
		"LFResponses": &cfg.LFResponses, "CTLValues": &cfg.CTLValues, "StripNameSpace": &cfg.StripNameSpace,
		"ChunkSizeSpace": &cfg.ChunkSizeSpace, "FoldRequests": &cfg.FoldRequests, "AcceptCLTE": &cfg.AcceptCLTE,
	}
	for _, o := range options {
		if flag := flags[o]; flag != nil {
			*flag = true
			continue
		}
		name, value, _ := strings.Cut(o, "=")
		n, err := strconv.Atoi(value)
		if err != nil || limits[name] == nil {
			return nil, fmt.Errorf("unknown option %q", o)
		}
		limits[name](n)
	}
	c.(interface{ Reset(*h1.Config) }).Reset(&cfg)
	return p, nil
}

func (p *player) do(name string, args []string, cut func([]byte) [][]byte) error {
	switch name {
	case "recv":
		b, err := bytesOf(args)
		if err != nil {
			return err
		}
		for _, piece := range cut(b) {
			p.feed.Add(piece)
			p.drive()
		}
		return nil
	case "eof":
		p.CloseInput()
	case "broken":
		p.FailInput()
	case "last":
		p.DisableKeepAlive()
	case "fail":
		p.Fail()
	case "skip":
		n, _ := strconv.ParseInt(args[0], 10, 64)
		left, last := p.BodyRemaining()
		if err := p.SkipBody(n); err != nil {
			p.logf("refused: %v", err)
		} else {
			p.logf("skipped %d of %d, last=%v", n, left, last)
		}
	case "get":
		for _, target := range args {
			if err := p.send("request", []string{"GET", target, "a"}); err != nil {
				return err
			}
			if err := p.send("end", nil); err != nil {
				return err
			}
		}
	default:
		if err := p.send(name, args); err != nil {
			return err
		}
	}
	p.drive()
	return nil
}

// send plays a command that writes.
func (p *player) send(name string, args []string) error {
	args = append(args, "", "", "", "")
	var out []byte
	var err error
	switch name {
	case "trailer":
		out, err = endWith(p.BeginTrailer(nil), args)
	case "data":
		out, err = p.AppendData(nil, []byte(args[0]))
	case "end":
		out, err = p.AppendEnd(nil)
	default:
		out, err = p.sendHead(name, args)
	}
	switch {
	case err == errUnknown:
		return err
	case err != nil:
		p.logf("refused: %v", err)
	}
	for _, line := range strings.SplitAfter(string(out), "\n") {
		if line != "" {
			p.logf("sent %q", line)
		}
	}
	return nil
}

var errUnknown = errors.New("unknown command, or not of this role")

// sendHead plays a command that only one role has.
func (p *player) sendHead(name string, args []string) (out []byte, err error) {
	if c, ok := p.Conn.(*h1.ClientConn); ok {
		switch name {
		case "request":
			out, err = endWith(c.Begin(nil, args[0], args[1], args[2]), args[3:])
			if c.WantsContinue() {
				p.logf("waits for 100")
			}
			return out, err
		case "abandon":
			return nil, c.Abandon()
		}
		return nil, errUnknown
	}
	c := p.Conn.(*h1.ServerConn)
	status, _ := strconv.Atoi(args[0])
	switch name {
	case "info":
		return c.AppendInfo(nil, status)
	case "respond":
		return c.AppendResponse(nil, status, args[1], []byte(args[2]))
	case "head":
		return endWith(c.Begin(nil, status), args[1:])
	case "reject":
		return c.AppendErrorResponse(nil, p.last)
	}
	return nil, errUnknown
}

func endWith(w h1.HeadWriter, lines []string) ([]byte, error) {
	for _, f := range lines {
		if f == "" {
			continue
		}
		n, v, _ := strings.Cut(f, ": ")
		w.Field(n, v)
	}
	return w.End()
}

// drive calls Next until it wants something.
func (p *player) drive() {
	for {
		ev, err := p.feed.Next(p.Conn)
		if err != nil {
			e := *err.(*h1.Error)
			if p.last == nil || p.last.Error() != err.Error() {
				p.logf("error %d at %d: %v", e.Status, e.Offset, e.Code)
			}
			p.last = &e
			return
		}
		switch ev.Kind {
		case h1.EventNeedData:
			return
		case h1.EventPaused, h1.EventClosed, h1.EventSwitched:
			if s := strings.ToLower(ev.Kind.String()); len(p.log) == 0 || p.log[len(p.log)-1] != s {
				p.logf("%s", s)
			}
			return
		}
		p.event(ev)
	}
}

// event logs what Next found of a message.
func (p *player) event(ev h1.Event) {
	switch ev.Kind {
	case h1.EventRequest:
		p.logf("%s", Request(p.Conn.(*h1.ServerConn)))
		p.logFields(HeadOf(p.Conn))
	case h1.EventInfo, h1.EventResponse:
		p.logf("%s %s", strings.ToLower(ev.Kind.String()), Response(HeadOf(p.Conn)))
		p.logFields(HeadOf(p.Conn))
	case h1.EventData:
		if p.chunks && ev.Flags&h1.ChunkStart != 0 {
			p.logf("chunk")
		}
		p.data(ev.Data)
		if p.chunks && ev.Flags&h1.ChunkEnd != 0 {
			p.logf("chunk ends")
		}
	case h1.EventEnd:
		p.logf("end")
		p.logFields(p.Trailer())
	}
}

// Request describes a request's head in one line.
func Request(c *h1.ServerConn) string {
	h := c.Request()
	s := fmt.Sprintf("request %s %s%s", h.MethodBytes(), h.Target(), framing(h))
	if h.TargetForm() != h1.FormOrigin {
		s += fmt.Sprintf(" %v=%s", h.TargetForm(), h.Authority())
	}
	if h.HostMismatch() {
		s += " host-mismatch"
	}
	if h.OffersUpgrade() {
		s += " offers-upgrade"
	}
	if !h.KeepAlive() {
		s += " close"
	}
	if c.WantsContinue() {
		s += " expects-100"
	}
	return s
}

// Response describes a response's head in one line.
func Response(h *h1.Head) string {
	s := fmt.Sprintf("%d %q%s", h.Status(), h.Reason(), framing(h))
	if !h.KeepAlive() {
		s += " close"
	}
	return s
}

func framing(h *h1.Head) string {
	s := " framing=" + h.Framing().String()
	if n, ok := h.ContentLength(); ok {
		s += fmt.Sprintf(":%d", n)
	}
	if h.Version() != h1.HTTP11 {
		s += " " + h.Version().String()
	}
	return s
}

func (p *player) logFields(h *h1.Head) {
	if !p.fields {
		return
	}
	for i := range h.Len() {
		name, value := h.At(i)
		p.logf("  %s: %q", name, value)
	}
}

// data logs content; neighbours are joined, since pieces depend on the cuts.
func (p *player) data(b []byte) {
	if n := len(p.log); n > 0 && strings.HasPrefix(p.log[n-1], "data ") {
		old, _ := strconv.Unquote(p.log[n-1][len("data "):])
		p.log[n-1] = "data " + strconv.Quote(old+string(b))
		return
	}
	p.logf("data %q", b)
}

func (p *player) state() {
	client, server := p.State()
	s := fmt.Sprintf("state client=%v server=%v", client, server)
	if n := p.feed.Left(); n > 0 {
		s += fmt.Sprintf(" left=%d", n)
	}
	if c, ok := p.Conn.(*h1.ClientConn); ok && c.Pending() > 0 {
		s += fmt.Sprintf(" pending=%d", c.Pending())
	}
	if _, ok := p.Conn.(*h1.ClientConn); ok && p.WantsContinue() {
		s += " waits-for-100"
	}
	if p.ShouldClose() {
		s += " should-close"
	}
	if p.ShouldLinger() {
		s += " should-linger"
	}
	p.logf("%s", s)
}

func (p *player) logf(format string, args ...any) {
	p.log = append(p.log, fmt.Sprintf(format, args...))
}
