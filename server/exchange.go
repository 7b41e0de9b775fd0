package server

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"postern/h1"
)

// exchange is one request and its response.
type exchange struct {
	req       Request
	id        uint64
	began     time.Time
	headStart int     // of the head, in work.in
	headEnd   int     // where the body's room begins
	early     int     // status of a refusal that needs no handler, or 0
	status    int     // of the response
	written   int64   // bytes of its content that were handed over for writing
	failure   error   // why it was broken off
	driven    *driven // by a Drive answer, or nil
	ended     bool    // the response is written to its end
	noted     bool    // recorded already
	slot      *gate   // has a slot for it, or nil
	running   bool    // counted as in flight

	waited  time.Duration // spent waiting for the body in this window
	arrived int64         // bytes of it that came in this window
}

// begin takes up a request whose head is complete.
func (c *conn) begin() {
	head := c.proto.Request()
	c.served++
	c.waiting, c.alarm, c.last = h1.PhaseRespond, alarmOff, !head.KeepAlive()
	c.begun()
	// It was cleared when the last one ended; one assignment would write it twice.
	c.id = c.srv.requests.Add(1)
	c.headStart, c.headEnd = c.r-len(head.Raw()), c.r
	r := &c.req
	r.head, r.proto, r.conn, r.peers, r.tls = head, &c.proto, c, c.nc, c.tls
	r.listener, r.maxBody = c.lst.Name, c.lst.limits.MaxBody
	r.base, r.leaving = c.srv.base, c.srv.leaving
	if c.req.maxBody < 0 {
		c.req.maxBody = 1<<63 - 1
	}
	if m := c.lst.limits.MaxRequests; m > 0 && c.served >= m {
		c.proto.DisableKeepAlive()
	}
	if c.srv.timed {
		c.began = time.Now()
	}
	c.early = c.refusal(head)
}

// begun says to the ConnState hook that a request comes, or what might be one. A
// connection whose request came right behind the last one was idle in between.
func (c *conn) begun() {
	if c.active {
		c.srv.connState(c.nc, http.StateIdle)
	}
	c.active = true
	c.srv.connState(c.nc, http.StateActive)
}

// refusal returns the status with which a request is answered without asking the
// handler, or 0.
func (c *conn) refusal(head *h1.Head) int {
	switch {
	case c.over:
		return 503
	case c.srv.cfg.RefuseHTTP10 && head.Version() == h1.HTTP10:
		return 505
	case head.Method() == h1.MethodConnect && !c.srv.cfg.AllowConnect:
		return 501
	case unknownExpectation(head):
		return 417
	}
	if bytes.IndexByte(head.Target(), '%') >= 0 {
		if path, _ := splitTarget(head); !validEscapes(path) {
			return 400
		}
	}
	if head.TargetForm() == h1.FormAsterisk {
		return 200
	}
	return 0
}

// unknownExpectation reports whether an HTTP/1.1 client expects something other
// than 100-continue (RFC 9110 10.1.1).
func unknownExpectation(head *h1.Head) bool {
	if _, ok := head.Get(h1.FieldExpect); !ok || head.Version() == h1.HTTP10 {
		return false
	}
	for v := range head.Values(h1.FieldExpect) {
		if len(v) > 0 && !equalFold(v, "100-continue") {
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
		if err := c.admit(); err != nil {
			resp = c.turnAway(err)
		} else {
			c.call(&resp)
		}
	case 200: // OPTIONS *
	default:
		resp = c.render(c.early, nil)
	}
	c.now = c.clockTime()
	switch {
	case c.broken: // aborted
		c.end()
	case resp.Body.kind == bodyDrive:
		c.driven = newDriven(c, &resp)
	default:
		c.respond(&resp)
		c.end()
	}
}

// end is the end of an exchange: nothing of it may be used any more.
func (c *conn) end() {
	c.req.end()
	c.vacate()
	c.record()
	c.mark = c.used
	c.exchange = exchange{}
}

// call calls the handler.
func (c *conn) call(resp *Response) {
	c.startTime()
	defer func() {
		p := recover()
		if p != nil && p != ErrAbort {
			c.srv.counts.panics.Add(1)
			c.srv.cfg.Log.Error("server: handler panicked", "panic", fmt.Sprint(p), "method", c.req.Method(),
				"target", c.req.Target(), "listener", c.lst.Name, "stack", string(debug.Stack()))
		}
		switch inTime := c.inTime(); {
		case !inTime:
			c.dropLate(resp)
		case p == ErrAbort:
			c.abort()
		case p != nil:
			*resp = c.render(500, fmt.Errorf("server: handler panicked: %v", p))
		}
	}()
	*resp = c.lst.Handler(&c.req)
	if resp.Body.kind == bodyError {
		if err := resp.Body.Err(); err != nil {
			*resp = c.failed(*resp, err)
		}
	}
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
func (c *conn) render(status int, err error) Response {
	if c.req.head == nil {
		return c.page(nil, status, err)
	}
	return c.page(&c.req, status, err)
}

func (c *conn) page(req *Request, status int, err error) (page Response) {
	c.srv.counts.refuse(status)
	defer func() {
		if p := recover(); p != nil {
			c.srv.counts.panics.Add(1)
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
		if c.req.head == nil {
			c.begun()
		}
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
	c.now = c.srv.age()
	if c.req.head == nil {
		c.exchange = exchange{id: c.srv.requests.Add(1), began: c.srv.born.Add(c.now)}
	}
	resp := c.render(status, err)
	c.respond(&resp)
	c.end()
}

// record counts the exchange and hands it to the access log.
func (c *conn) record() {
	if c.hijacked || c.noted {
		return
	}
	c.count()
	if c.srv.records == nil {
		return
	}
	r := record{
		id:       c.id,
		at:       c.began,
		duration: c.srv.born.Add(c.now).Sub(c.began),
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
