package server

import (
	"net/http"
	"time"

	"postern/h1"
)

// stream is one exchange over HTTP/2. It is the ResponseWriter that its handler gets,
// so that what was written is known.
type stream struct {
	http.ResponseWriter
	c       *conn
	began   time.Time
	status  int
	written int64
}

// ServeHTTP implements http.Handler: it does for a stream what the engine does for a
// request of HTTP/1, as far as net/http has not done it.
func (h *http2) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	c := hr.Context().Value(ownerKey{}).(*conn)
	st := &stream{ResponseWriter: w, c: c, began: time.Now()}
	o := newOverHTTP(st, hr)
	o.c = c
	if !c.srv.enter() {
		panic(http.ErrAbortHandler)
	}
	id := c.srv.requests.Add(1)
	release := c.srv.leaveStream
	defer func() { release() }()
	defer func() { st.end(o, id) }() // while the log is still there
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
	} else if !o.answerInTime(h.lst.Handler, all) {
		release = func() {} // who is late will do it
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

// answerInTime answers with h, or with 504 if h does not return in time, and reports
// whether it did. If not, release is called when it returns.
func (o *overHTTP) answerInTime(h Handler, release func()) bool {
	c := o.c
	type result struct {
		resp    Response
		aborted bool
	}
	results, over := make(chan result), make(chan struct{})
	go func() { // ends with the handler
		got := result{aborted: true} // unless it returns
		defer func() {
			_ = recover() // ErrAbort; all else is a response
			select {
			case results <- got:
			case <-over:
				defer release()
				defer func() { _ = recover() }() // there is nobody left to tell
				closeBody(&got.resp)
			}
		}()
		got.resp = o.call(h)
		got.aborted = false
	}()
	timer := time.NewTimer(c.lst.limits.HandlerTimeout)
	defer timer.Stop()
	select {
	case got := <-results:
		if got.aborted {
			panic(http.ErrAbortHandler)
		}
		o.finish(got.resp)
		return true
	case <-timer.C:
	}
	o.late = true
	close(over)
	c.srv.counts.handler.Add(1)
	c.srv.cfg.Log.Warn("server: handler timed out", "after", c.lst.limits.HandlerTimeout, "method", o.r.Method,
		"target", o.r.RequestURI, "listener", c.lst.Name)
	page := c.page(nil, 504, errLate)
	page.Close = false
	o.respond(page)
	return false
}

// end counts and records the exchange.
func (st *stream) end(o *overHTTP, id uint64) {
	c := st.c
	now := time.Now()
	if t := c.tally; t != nil {
		m := h1.MethodOther
		if o.req != nil {
			m = o.req.head.Method()
		}
		t.add(m, st.status, now.Sub(st.began))
	}
	if o.req != nil && !o.late {
		c.countBody(&o.req.body)
	}
	if c.srv.records != nil {
		c.srv.records.add(record{
			id:       id,
			at:       st.began,
			duration: now.Sub(st.began),
			method:   o.r.Method,
			target:   o.r.RequestURI,
			status:   st.status,
			bytes:    st.written,
			listener: c.lst.Name,
			remote:   c.nc.RemoteAddr().String(),
		})
	}
}

// WriteHeader implements http.ResponseWriter.
func (st *stream) WriteHeader(status int) {
	if status >= 200 && st.status == 0 {
		st.begin(status)
	}
	st.ResponseWriter.WriteHeader(status)
}

func (st *stream) begin(status int) {
	st.status = status
	if name := st.c.srv.cfg.ServerName; name != "" && st.Header()["Server"] == nil {
		st.Header().Set("Server", name)
	}
}

// Write implements http.ResponseWriter.
func (st *stream) Write(p []byte) (int, error) {
	if st.status == 0 {
		st.begin(200)
	}
	n, err := st.ResponseWriter.Write(p)
	st.written += int64(n)
	return n, err
}

// Flush implements http.Flusher.
func (st *stream) Flush() { _ = st.FlushError() }

// FlushError is Flush for http.ResponseController.
func (st *stream) FlushError() error {
	if st.status == 0 {
		st.begin(200)
	}
	return http.NewResponseController(st.ResponseWriter).Flush()
}

// CloseNotify implements http.CloseNotifier, which old handlers ask for unchecked.
func (st *stream) CloseNotify() <-chan bool {
	//lint:ignore SA1019 see above
	return st.ResponseWriter.(http.CloseNotifier).CloseNotify()
}

// Unwrap is for http.ResponseController.
func (st *stream) Unwrap() http.ResponseWriter { return st.ResponseWriter }
