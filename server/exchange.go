package server

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"postern/h1"
)

// exchange is one request and its response.
type exchange struct {
	req       Request
	id        uint64
	began     time.Time
	headStart int   // of the head, in work.in
	headEnd   int   // where the body's room begins
	early     int   // status of a refusal that needs no handler, or 0
	status    int   // of the response
	written   int64 // bytes of its content that were handed over for writing
	failure   error // why it was broken off

	waited  time.Duration // spent waiting for the body in this window
	arrived int64         // bytes of it that came in this window
}

// begin takes up a request whose head is complete.
func (c *conn) begin() {
	head := c.proto.Request()
	c.served++
	c.waiting = h1.PhaseRespond
	c.exchange = exchange{
		id:        c.srv.requests.Add(1),
		began:     c.now,
		headStart: c.r - len(head.Raw()),
		headEnd:   c.r,
		req: Request{
			head:     head,
			proto:    &c.proto,
			listener: c.lst.Name,
			remote:   c.nc.RemoteAddr(),
			local:    c.nc.LocalAddr(),
			maxBody:  c.lst.limits.MaxBody,
			base:     c.srv.base,
		},
	}
	if c.req.maxBody < 0 {
		c.req.maxBody = 1<<63 - 1
	}
	if m := c.lst.limits.MaxRequests; m > 0 && c.served >= m {
		c.proto.DisableKeepAlive()
	}
	c.early = c.refusal(head)
}

// refusal returns the status with which a request is answered without asking the
// handler, or 0.
func (c *conn) refusal(head *h1.Head) int {
	switch {
	case c.over:
		return 503
	case c.srv.cfg.RefuseHTTP10 && head.Version() == h1.HTTP10:
		return 505
	case head.Method() == h1.MethodConnect:
		return 501
	case unknownExpectation(head):
		return 417
	}
	if path, _ := splitTarget(head); !validEscapes(path) {
		return 400
	}
	if head.TargetForm() == h1.FormAsterisk {
		return 200
	}
	return 0
}

// unknownExpectation reports whether an HTTP/1.1 client expects something other
// than 100-continue (RFC 9110 10.1.1).
func unknownExpectation(head *h1.Head) bool {
	if head.Version() == h1.HTTP10 {
		return false
	}
	for v := range head.Values(h1.FieldExpect) {
		if !equalFold(v, "100-continue") {
			return true
		}
	}
	return false
}

// gather collects content that came with its head: it is moved down over the
// framing that stood between, so that the whole body is one slice.
func (c *conn) gather(p []byte) {
	b := &c.req.body
	at := c.headEnd + len(b.ready)
	end := at + copy(c.in[at:], p)
	b.ready = c.in[c.headEnd:end:end]
}

// answer makes the response and appends it to out; a long one is written.
func (c *conn) answer() {
	var resp Response
	switch c.early {
	case 0:
		resp = c.call()
	case 200: // OPTIONS *
	default:
		resp = c.render(c.early, nil)
	}
	c.respond(resp)
	c.end()
}

// end is the end of an exchange: nothing of it may be used any more.
func (c *conn) end() {
	c.req.end()
	c.record()
	c.mark = c.used
	c.exchange = exchange{}
}

// call calls the handler.
func (c *conn) call() (resp Response) {
	defer func() {
		if p := recover(); p != nil {
			c.now = time.Now()
			c.srv.cfg.Log.Error("server: handler panicked", "panic", fmt.Sprint(p), "method", c.req.Method(),
				"target", c.req.Target(), "listener", c.lst.Name, "stack", string(debug.Stack()))
			resp = c.render(500, fmt.Errorf("server: handler panicked: %v", p))
		}
	}()
	resp = c.lst.Handler(&c.req)
	c.now = time.Now()
	if err := resp.Body.Err(); err != nil {
		resp = c.failed(resp, err)
	}
	return resp
}

// failed renders a response made by Err.
func (c *conn) failed(resp Response, err error) Response {
	if resp.Status >= 500 {
		c.srv.cfg.Log.Error("server: handler failed", "error", err, "method", c.req.Method(),
			"target", c.req.Target(), "listener", c.lst.Name)
	}
	page := c.srv.cfg.RenderError(&c.req, resp.Status, err)
	page.Status = resp.Status
	page.Header = append(page.Header[:len(page.Header):len(page.Header)], resp.Header...)
	page.Close = page.Close || resp.Close
	return page
}

// render makes the engine's own error response: the connection closes after it.
func (c *conn) render(status int, err error) (page Response) {
	var req *Request
	if c.req.head != nil {
		req = &c.req
	}
	defer func() {
		if p := recover(); p != nil {
			c.srv.cfg.Log.Error("server: RenderError panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			page = renderError(req, status, err)
		}
		page.Status, page.Close = status, true
		if status == 503 {
			page = page.With("Retry-After", "1")
		}
	}()
	return c.srv.cfg.RenderError(req, status, err)
}

// refuseInput answers input that is no HTTP (RFC 9112 2.2). If a response has
// begun already, closing is all that is left.
func (c *conn) refuseInput(err error) {
	if fault := c.fault(err); fault != nil {
		c.reject(fault.Status, fault)
	}
}

// fault returns a copy of the client's fault, its offset counted from the
// connection's first byte, or nil if err is none.
func (c *conn) fault(err error) *h1.Error {
	e, ok := err.(*h1.Error)
	if !ok || !e.Remote {
		return nil
	}
	fault := *e
	fault.Offset += c.taken
	return &fault
}

// reject gives up on what the client is sending.
func (c *conn) reject(status int, err error) {
	if _, server := c.proto.State(); server != h1.Idle {
		return
	}
	if c.req.head == nil {
		c.exchange = exchange{id: c.srv.requests.Add(1), began: c.now}
	}
	c.respond(c.render(status, err))
	c.end()
}

// respond appends resp to out.
func (c *conn) respond(resp Response) {
	if c.req.body.failed != nil || c.unreadable(&resp) {
		resp.Close = true
	}
	if c.srv.draining.Load() {
		c.proto.DisableKeepAlive()
	}
	if c.readsBody(&resp) && c.proto.WantsContinue() {
		c.out, _ = c.proto.AppendInfo(c.out, 100) // once the head is out it is too late
	}
	if err := c.appendHead(&resp); err != nil {
		c.srv.cfg.Log.Error("server: response refused", "error", err, "status", resp.Status,
			"target", c.req.Target(), "listener", c.lst.Name)
		_ = c.produce(func() error { closeBody(&resp); return nil })
		resp = c.render(500, err)
		if err = c.appendHead(&resp); err != nil {
			resp = renderError(nil, 500, err)
			err = c.appendHead(&resp)
		}
		if err != nil {
			c.fail(endGently)
			return
		}
	}
	err := c.produce(func() error { return c.appendBody(&resp) })
	if c.readsBody(&resp) {
		c.now = time.Now()
	}
	if err != nil {
		c.srv.cfg.Log.Warn("server: response broken off", "error", err, "target", c.req.Target(), "listener", c.lst.Name)
		c.failure = err
		if c.broken { // by writing
			return
		}
		how := endGently // what there is of it shows that the rest is missing
		if c.proto.Sending() == h1.FramingClose {
			how = endReset
		}
		if c.flush() == nil {
			c.fail(how)
		}
		return
	}
	c.out, _ = c.proto.AppendEnd(c.out) // appendBody has sent all that was announced
}

// produce calls code that may be a handler's: a panic in it is an error.
func (c *conn) produce(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("server: response panicked: %v", p)
			c.srv.cfg.Log.Error("server: response panicked", "panic", fmt.Sprint(p), "target", c.req.Target(),
				"listener", c.lst.Name, "stack", string(debug.Stack()))
		}
	}()
	return f()
}

// readsBody reports whether producing the response may read the request's body.
func (c *conn) readsBody(resp *Response) bool {
	return resp.Body.kind == bodyStream || resp.Body.kind == bodyReader
}

// unreadable reports whether more of the body is left than will be drained. A
// response that is still to be produced may read it: then drain will see.
func (c *conn) unreadable(resp *Response) bool {
	m := c.lst.limits.MaxUnread
	return m >= 0 && c.req.unread() > m && !c.readsBody(resp)
}

// unread returns how many bytes of the body have yet to come, as far as the head
// tells.
func (r *Request) unread() int64 {
	if r.head == nil || r.body.done {
		return 0
	}
	return r.ContentLength() - r.body.seen - int64(len(r.body.ready))
}

func (c *conn) appendHead(resp *Response) error {
	status := resp.Status
	if status == 0 {
		status = 200
	}
	if status < 200 || status > 599 {
		return fmt.Errorf("server: handler returned status %d", status)
	}
	w := c.proto.Begin(c.out, status)
	if resp.Close {
		w.Close()
	}
	if resp.Header.index("Date") < 0 {
		w.Known(h1.FieldDate, c.srv.date(c.now))
	}
	if s := c.srv.cfg.ServerName; s != "" && resp.Header.index("Server") < 0 {
		w.Known(h1.FieldServer, s)
	}
	if t := resp.Body.contentType; t != "" && resp.Header.index("Content-Type") < 0 {
		w.Known(h1.FieldContentType, t)
	}
	for i := range resp.Header {
		w.Field(resp.Header[i].Name, resp.Header[i].Value)
	}
	if n := resp.Body.Len(); n >= 0 && hasContent(status) {
		w.Length(n)
	}
	out, err := w.End()
	c.out, c.status = out, status
	return err
}

// hasContent reports whether a response with this status may have content; a body
// given with another one is left out (RFC 9110 6.4.1).
func hasContent(status int) bool { return status != 204 && status != 205 && status != 304 }

func (c *conn) appendBody(resp *Response) error {
	defer closeBody(resp)
	b := &resp.Body
	if c.proto.Sending() == h1.FramingNone || !hasContent(c.status) {
		return nil
	}
	switch b.kind {
	case bodyText:
		return c.appendWhole(int64(len(b.text)), func() error { return appendPieces(c, b.text) })
	case bodyBytes:
		return c.appendWhole(int64(len(b.data)), func() error { return appendPieces(c, b.data) })
	case bodyGather:
		return c.appendWhole(b.Len(), func() error {
			for _, p := range b.source.([][]byte) {
				if err := appendPieces(c, p); err != nil {
					return err
				}
			}
			return nil
		})
	case bodyReader:
		return c.copyFrom(b.reader(), b.length)
	case bodyStream:
		return c.stream(b.source.(func(*StreamWriter) error))
	}
	return nil
}

func (c *conn) appendWhole(n int64, pieces func() error) (err error) {
	if c.out, err = c.proto.BeginData(c.out, n); err != nil {
		return err
	}
	if err = pieces(); err == nil {
		c.out, err = c.proto.EndData(c.out)
	}
	return err
}

// appendPieces appends p to out; what is long is written in between.
func appendPieces[P []byte | string](c *conn, p P) error {
	c.written += int64(len(p))
	for len(p) > 0 {
		n := min(len(p), batchSize)
		c.out = append(c.out, p[:n]...)
		if p = p[n:]; len(c.out) < batchSize {
			continue
		}
		if err := c.flush(); err != nil {
			return err
		}
	}
	return nil
}

// copyFrom sends what r yields: n bytes, or all if n is negative. Each piece is
// written as it comes.
func (c *conn) copyFrom(r io.Reader, n int64) error {
	buf := pieces.Get().(*[]byte)
	defer pieces.Put(buf)
	for n != 0 {
		p := *buf
		if n > 0 {
			p = p[:min(int64(len(p)), n)]
		}
		m, err := r.Read(p)
		if m < 0 || m > len(p) {
			return fmt.Errorf("server: %T read %d bytes into %d", r, m, len(p))
		}
		if m > 0 {
			if n > 0 {
				n -= int64(m)
			}
			if err := c.writeData(p[:m]); err != nil {
				return err
			}
			if err := c.flush(); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF && n > 0:
			return io.ErrUnexpectedEOF
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

var pieces = sync.Pool{New: func() any {
	p := make([]byte, 32<<10)
	return &p
}}

// stream runs a stream function. What it wrote before it failed is still sent.
func (c *conn) stream(write func(*StreamWriter) error) error {
	w := StreamWriter{conn: c}
	defer func() { w.conn, w.err = nil, errStreamEnded }() // the connection has other uses
	err := write(&w)
	if err == nil {
		err = w.err
	}
	if w.err == nil {
		err = errors.Join(err, w.drain())
	}
	return err
}

// writeData appends p as content, and writes when enough has been collected.
func (c *conn) writeData(p []byte) (err error) {
	if c.broken {
		return io.ErrClosedPipe
	}
	if c.out, err = c.proto.AppendData(c.out, p); err != nil {
		return err
	}
	c.written += int64(len(p))
	if len(c.out) >= batchSize {
		err = c.flush()
	}
	return err
}

func closeBody(resp *Response) {
	if resp.Body.kind == bodyReader {
		closeReader(resp.Body.reader())
	}
}

// record hands the exchange to the access log.
func (c *conn) record() {
	if c.srv.records == nil {
		return
	}
	r := record{
		id:       c.id,
		at:       c.began,
		duration: c.now.Sub(c.began),
		status:   c.status,
		bytes:    c.written,
		listener: c.lst.Name,
		remote:   c.nc.RemoteAddr().String(),
	}
	if c.failure != nil {
		r.failure = c.failure.Error()
	}
	if c.req.head != nil {
		r.method, r.target = c.req.Method(), c.req.Target()
	}
	c.srv.records.add(r)
}

// date returns the value of the Date field (RFC 9110 6.6.1), made once a second.
func (s *Server) date(now time.Time) string {
	sec := now.Unix()
	d := s.stamp.Load()
	if d == nil || d.second != sec {
		d = &dateStamp{sec, now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")}
		s.stamp.Store(d)
	}
	return d.text
}

type dateStamp struct {
	second int64
	text   string
}
