// Package h1test holds what h1's tests and the fuzz targets share: transcripts,
// generators of messages, and laws.
package h1test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"postern/h1"
)

// Transcript is one case of a testdata file: comments, commands, and below the
// line what happens.
//
//	# RFC 9112 7.1.1: chunk extensions are read and ignored.
//	server
//	recv "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
//	recv "5;note=x\r\nhello\r\n0\r\n\r\n"
//	----
//	request POST / framing=chunked
//	data "hello"
//	end
//
// The commands:
//
//	server [fields] [limit=N ...]    a fresh connection; "fields" logs field lines
//	recv "BYTES" [*N]                the peer sends BYTES, N times over
//	eof                              the peer sends no more
//	info STATUS                      AppendInfo
//	respond STATUS ["TYPE" ["BODY"]] AppendResponse
//	head STATUS ["Name: value" ...]  Begin, Field, End
//	data "BYTES", end                AppendData, AppendEnd
//	trailer ["Name: value" ...]      BeginTrailer, Field, End
//	skip N                           SkipBody
//	reject                           AppendErrorResponse for the last error
//	last, fail                       DisableKeepAlive, Fail
type Transcript struct {
	Name     string // file and line
	Comments []string
	Commands []string
	Want     []string
}

// Load reads the transcripts of every file that matches the pattern.
func Load(pattern string) (map[string][]Transcript, error) {
	names, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("h1test: no file matches %s", pattern)
	}
	files := make(map[string][]Transcript, len(names))
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files[name] = parse(filepath.Base(name), string(b))
	}
	return files, nil
}

func parse(file, content string) (all []Transcript) {
	var t Transcript
	below := false
	flush := func() {
		if len(t.Commands) > 0 {
			all = append(all, t)
		}
		t, below = Transcript{}, false
	}
	sc := bufio.NewScanner(strings.NewReader(content))
	sc.Buffer(nil, 1<<20)
	for line := 1; sc.Scan(); line++ {
		switch s := sc.Text(); {
		case s == "":
			flush()
		case s == "----":
			below = true
		case below:
			t.Want = append(t.Want, s)
		case strings.HasPrefix(s, "#"):
			t.Comments = append(t.Comments, s)
		default:
			if t.Name == "" {
				t.Name = fmt.Sprintf("%s:%d", file, line)
			}
			t.Commands = append(t.Commands, s)
		}
	}
	flush()
	return all
}

// Format writes transcripts back in the form that Load reads.
func Format(ts []Transcript) []byte {
	var b strings.Builder
	for i, t := range ts {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, part := range [][]string{t.Comments, t.Commands, {"----"}, t.Want} {
			for _, s := range part {
				b.WriteString(s + "\n")
			}
		}
	}
	return []byte(b.String())
}

// Input returns all bytes that the transcript's peer sends.
func (t *Transcript) Input() []byte {
	var in []byte
	for _, s := range t.Commands {
		if name, args, err := split(s); err == nil && name == "recv" {
			b, _ := bytesOf(args)
			in = append(in, b...)
		}
	}
	return in
}

// Run plays the transcript and returns its log. The input of every recv reaches
// the connection in the pieces that cut makes of it.
func (t *Transcript) Run(cut func(piece []byte) [][]byte) ([]string, error) {
	var p *player
	for _, s := range t.Commands {
		name, args, err := split(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", t.Name, s, err)
		}
		if name == "server" {
			if p, err = newPlayer(args); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", t.Name, s, err)
			}
			continue
		}
		if p == nil {
			return nil, fmt.Errorf("%s: %s before server", t.Name, name)
		}
		if err := p.do(name, args, cut); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", t.Name, s, err)
		}
	}
	p.state()
	return p.log, nil
}

// player is a connection and the log of what it did.
type player struct {
	conn   h1.ServerConn
	feed   Feeder
	fields bool
	log    []string
	last   error // the last remote error
}

func newPlayer(args []string) (*player, error) {
	p := new(player)
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
	}
	for _, a := range args {
		if a == "fields" {
			p.fields = true
			continue
		}
		name, value, _ := strings.Cut(a, "=")
		n, err := strconv.Atoi(value)
		if err != nil || limits[name] == nil {
			return nil, fmt.Errorf("unknown limit %q", a)
		}
		limits[name](n)
	}
	p.conn.Reset(&cfg)
	return p, nil
}

func (p *player) do(name string, args []string, cut func([]byte) [][]byte) error {
	c := &p.conn
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
		c.CloseInput()
	case "last":
		c.DisableKeepAlive()
	case "fail":
		c.Fail()
	case "skip":
		n, _ := strconv.ParseInt(args[0], 10, 64)
		left, last := c.BodyRemaining()
		if err := c.SkipBody(n); err != nil {
			p.logf("refused: %v", err)
		} else {
			p.logf("skipped %d of %d, last=%v", n, left, last)
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
	c := &p.conn
	args = append(args, "", "", "")
	status, _ := strconv.Atoi(args[0])
	var out []byte
	var err error
	switch name {
	case "info":
		out, err = c.AppendInfo(nil, status)
	case "respond":
		out, err = c.AppendResponse(nil, status, args[1], []byte(args[2]))
	case "head":
		out, err = endWith(c.Begin(nil, status), args[1:])
	case "trailer":
		out, err = endWith(c.BeginTrailer(nil), args)
	case "data":
		out, err = c.AppendData(nil, []byte(args[0]))
	case "end":
		out, err = c.AppendEnd(nil)
	case "reject":
		out, err = c.AppendErrorResponse(nil, p.last)
	default:
		return errors.New("unknown command")
	}
	if err != nil {
		p.logf("refused: %v", err)
	}
	for _, line := range strings.SplitAfter(string(out), "\n") {
		if line != "" {
			p.logf("sent %q", line)
		}
	}
	return nil
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
		ev, err := p.feed.Next(&p.conn)
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
		case h1.EventRequest:
			p.logf("%s", Request(&p.conn))
			p.logFields(p.conn.Request())
		case h1.EventData:
			p.data(ev.Data)
		case h1.EventEnd:
			p.logf("end")
			p.logFields(p.conn.Trailer())
		}
	}
}

// Request describes a request's head in one line.
func Request(c *h1.ServerConn) string {
	h := c.Request()
	s := fmt.Sprintf("request %s %s framing=%v", h.MethodBytes(), h.Target(), h.Framing())
	if n, ok := h.ContentLength(); ok {
		s += fmt.Sprintf(":%d", n)
	}
	if h.Version() != h1.HTTP11 {
		s += " " + h.Version().String()
	}
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
	client, server := p.conn.State()
	s := fmt.Sprintf("state client=%v server=%v", client, server)
	if n := p.feed.Left(); n > 0 {
		s += fmt.Sprintf(" left=%d", n)
	}
	if p.conn.ShouldClose() {
		s += " should-close"
	}
	if p.conn.ShouldLinger() {
		s += " should-linger"
	}
	p.logf("%s", s)
}

func (p *player) logf(format string, args ...any) {
	p.log = append(p.log, fmt.Sprintf(format, args...))
}

// split parses a command line: words, and Go strings in quotes.
func split(s string) (name string, args []string, err error) {
	name, rest, _ := strings.Cut(s, " ")
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		if rest[0] != '"' {
			word, tail, _ := strings.Cut(rest, " ")
			args, rest = append(args, word), tail
			continue
		}
		q, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return "", nil, fmt.Errorf("bad string: %s", rest)
		}
		v, err := strconv.Unquote(q)
		if err != nil {
			return "", nil, err
		}
		args, rest = append(args, v), rest[len(q):]
	}
	return name, args, nil
}

// bytesOf evaluates the arguments of recv: strings, each perhaps followed by *N.
func bytesOf(args []string) (b []byte, err error) {
	last := ""
	for _, a := range args {
		if n, ok := strings.CutPrefix(a, "*"); ok && len(n) > 0 {
			times, err := strconv.Atoi(n)
			if err != nil {
				return nil, fmt.Errorf("bad repetition %q", a)
			}
			b = append(b, strings.Repeat(last, times-1)...)
			continue
		}
		last = a
		b = append(b, a...)
	}
	return b, nil
}
