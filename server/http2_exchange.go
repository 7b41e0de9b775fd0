package server

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"postern/h1"
)

// ServeHTTP implements http.Handler: it does for a stream what the engine does for a
// request of HTTP/1, as far as net/http has not done it.
func (h *http2) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	c := hr.Context().Value(ownerKey{}).(*conn)
	nth, ok := c.srv.enter(c)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	m := h.lst.limits.MaxRequests
	st := &stream{w: w.(http2Writer), c: c, began: time.Now(), last: m > 0 && nth >= m}
	own := hr
	if h.lst.limits.HandlerTimeout > 0 { // it may be used when net/http has done with hr
		own = hr.WithContext(hr.Context())
		st.mayBeLate()
	}
	if hr.ContentLength != 0 {
		own.Body = &streamBody{ReadCloser: hr.Body, st: st}
	}
	o := newOverHTTP(st, own)
	o.c, o.st = c, st
	note := streamNote{hr: hr, o: o, id: c.srv.requests.Add(1), st: st}
	release := c.srv.leaveStream
	defer func() { release() }()
	defer note.record() // while the log is still there
	defer st.end()
	status, err := o.take()
	switch {
	case status == 200:
		o.respond(Empty(200))
		return
	case status != 0:
		o.respond(o.render(status, err))
		return
	}
	leave, err := c.admitStream(hr.Context().Done())
	switch err {
	case nil:
	case errGone:
		panic(http.ErrAbortHandler)
	default:
		o.respond(o.render(503, err))
		return
	}
	all := func() {
		o.req.end()
		leave()
		c.srv.leaveStream()
	}
	if release = all; h.lst.limits.HandlerTimeout <= 0 {
		o.answer(h.lst.Handler)
	} else if page := o.answerInTime(h.lst.Handler, hr, all); page != nil {
		release = func() {} // who is late will do it
		note.st, note.late = page, true
		return
	}
	if st.status == 0 { // a net/http handler that has written nothing
		st.status = 200
	}
}

// take makes the Request, or returns the status with which it is refused, 200 for
// OPTIONS *.
func (o *overHTTP) take() (status int, err error) {
	c := o.c
	l, n := &c.lst.limits, 0
	for _, values := range o.r.Header {
		n += len(values)
	}
	switch {
	case l.MaxTarget > 0 && len(o.r.RequestURI) > l.MaxTarget:
		return 414, nil
	case l.MaxFields > 0 && n > l.MaxFields:
		return 431, nil
	}
	r, err := fromHTTP(o.r)
	if err != nil {
		return 400, err
	}
	o.req = r
	r.tls, r.listener, r.peers, r.leaving = c.tls, c.lst.Name, c.nc, c.srv.leaving
	r.SetMaxBody(l.MaxBody)
	return c.refusal(r.head), nil
}

// answerInTime answers with h on a goroutine of its own, or with 504 if h takes too
// long until it returns, and a Drive until its head. Then it returns what the 504 was
// written on, and release is called when h has ended.
func (o *overHTTP) answerInTime(h Handler, hr *http.Request, release func()) *stream {
	st, ended := o.st, make(chan any, 1)
	go func() { // ends with the handler
		var panicked any = http.ErrAbortHandler // unless it returns: runtime.Goexit
		defer func() {
			if p := recover(); p != nil {
				panicked = p
			}
			if o.r.MultipartForm != nil {
				_ = o.r.MultipartForm.RemoveAll() // temporary files
			}
			if st.settle() {
				ended <- panicked
				return
			}
			defer release()
			if panicked != nil && panicked != ErrAbort { // there is nobody left to tell
				o.panicked()
				o.log("server: handler panicked", "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
			}
		}()
		resp := o.call(h)
		if resp.Body.kind == bodyDrive {
			st.drives(resp.Header)
			o.finish(resp)
		} else if st.settle() {
			o.finish(resp)
		} else {
			closeBody(&resp)
		}
		panicked = nil
	}()
	timer := time.NewTimer(o.c.lst.limits.HandlerTimeout)
	defer timer.Stop()
	var panicked any
	select {
	case panicked = <-ended:
	case <-timer.C:
		if late, extra := st.miss(); late {
			return o.c.sayLate(st, hr, extra)
		}
		panicked = <-ended
	}
	if panicked != nil {
		panic(panicked)
	}
	return nil
}

// sayLate answers a stream with 504. The Request is the handler's still, and so is
// what it writes on.
func (c *conn) sayLate(late *stream, hr *http.Request, extra Fields) *stream {
	c.srv.counts.handler.Add(1)
	c.srv.cfg.Log.Warn("server: handler timed out", "after", c.lst.limits.HandlerTimeout, "method", hr.Method,
		"target", hr.RequestURI, "listener", c.lst.Name)
	page := c.page(nil, 504, errLate)
	content, err := page.Body.ReadAll()
	if err != nil {
		page = renderError(nil, 504, nil).WithStatus(504)
		content, _ = page.Body.ReadAll() // it is a text
	}
	page.Body = Body{kind: bodyBytes, contentType: page.Body.contentType, data: content}
	page.Header = append(page.Header[:len(page.Header):len(page.Header)], extra...)
	page.Close = false
	st := &stream{w: late.w, c: c, began: late.began, last: late.last}
	clear(st.Header()) // of interim responses
	o := newOverHTTP(st, hr)
	o.c, o.st = c, st
	o.respond(page)
	st.end()
	return st
}

// streamNote is what remains to be noted of a stream.
type streamNote struct {
	hr   *http.Request
	o    *overHTTP
	id   uint64
	st   *stream // has the response
	late bool    // the handler has o.req still
}

// record counts and records the exchange.
func (n *streamNote) record() {
	st, c := n.st, n.st.c
	now := time.Now()
	if t := c.tally; t != nil {
		m := h1.MethodOther
		if n.o.req != nil {
			m = n.o.req.head.Method()
		}
		t.add(m, st.status, now.Sub(st.began))
	}
	if n.o.req != nil && !n.late {
		c.countBody(&n.o.req.body)
	}
	if c.srv.records != nil {
		c.srv.records.add(record{
			id:       n.id,
			at:       st.began,
			duration: now.Sub(st.began),
			method:   n.hr.Method,
			target:   n.hr.RequestURI,
			status:   st.status,
			bytes:    st.written,
			listener: c.lst.Name,
			remote:   c.nc.RemoteAddr().String(),
		})
	}
}
