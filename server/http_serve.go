package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"sync"

	"postern/h1"
)

// HTTP makes a net/http handler of h, to be mounted in a mux or served with
// HTTP/2. Bodies stream both ways, Drive and Upgrade work where net/http can hijack
// the connection. The limit on a request's body is the default of Limits.MaxBody;
// other limits are the http.Server's. Errors are rendered as by default and logged
// to slog.Default(). Request.StreamContext ends when the http.Server's Shutdown begins,
// unless the handler's first request on that server comes later still, and with the
// request alone where no http.Server is in its context.
func (h Handler) HTTP() http.Handler {
	var servers shutdowns
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		o := newOverHTTP(w, hr)
		r, err := fromHTTP(hr)
		if err != nil {
			o.respond(o.render(400, err))
			return
		}
		o.req = r
		defer r.end()
		if hs, ok := hr.Context().Value(http.ServerContextKey).(*http.Server); ok {
			r.leaving = servers.of(hs)
		}
		o.answer(h)
	})
}

// shutdowns knows which servers of net/http are being shut down.
type shutdowns struct{ leaving sync.Map } // *http.Server to context.Context

// of returns a context that ends when hs begins to shut down. What tells that cannot
// be taken back, so each server is asked once.
func (s *shutdowns) of(hs *http.Server) context.Context {
	if ctx, ok := s.leaving.Load(hs); ok {
		return ctx.(context.Context)
	}
	ctx, cancel := context.WithCancel(context.Background())
	first, known := s.leaving.LoadOrStore(hs, ctx)
	if known {
		cancel()
	} else {
		hs.RegisterOnShutdown(cancel)
	}
	return first.(context.Context)
}

func newOverHTTP(w http.ResponseWriter, hr *http.Request) *overHTTP {
	return &overHTTP{w: w, r: hr, rc: http.NewResponseController(w), length: -1}
}

// answer answers with h.
func (o *overHTTP) answer(h Handler) { o.finish(o.call(h)) }

func (o *overHTTP) finish(resp Response) {
	if resp.Body.kind == bodyDrive {
		o.drive(resp)
		return
	}
	o.respond(resp)
}

// fromHTTP makes a Request of one that net/http has read: its head is written
// again and parsed.
func fromHTTP(hr *http.Request) (*Request, error) {
	var b bytes.Buffer
	target, version := hr.RequestURI, "HTTP/1.1"
	if u, err := url.ParseRequestURI(target); hr.Method != "CONNECT" &&
		(err != nil || u.EscapedPath() != hr.URL.EscapedPath() || u.RawQuery != hr.URL.RawQuery) {
		target = hr.URL.RequestURI() // as a mux or http.StripPrefix has left it
	}
	if !hr.ProtoAtLeast(1, 1) {
		version = "HTTP/1.0"
	}
	fmt.Fprintf(&b, "%s %s %s\r\nHost: %s\r\n", clean(hr.Method), clean(target), version, clean(hr.Host))
	for _, key := range slices.Sorted(maps.Keys(hr.Header)) {
		if key == "Host" || key == "Content-Length" || key == "Transfer-Encoding" || key == "Trailer" {
			continue
		}
		for _, v := range hr.Header[key] {
			fmt.Fprintf(&b, "%s: %s\r\n", key, clean(v))
		}
	}
	switch _, given := hr.Header["Content-Length"]; {
	case hr.ContentLength < 0:
		b.WriteString("Transfer-Encoding: chunked\r\n")
	case hr.ContentLength > 0 || given:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", hr.ContentLength)
	}
	b.WriteString("\r\n")
	var c h1.ServerConn
	c.Reset(&h1.Config{MaxTarget: -1, MaxHead: -1, MaxFields: -1})
	if _, _, err := c.Next(b.Bytes()); err != nil {
		return nil, err
	}
	if path, _ := splitTarget(c.Request()); !validEscapes(path) {
		return nil, errors.New("server: bad escape in the path")
	}
	r := &Request{head: c.Request(), trailer: c.Trailer(), listener: "net/http", peers: peersFromHTTP{hr},
		tls: hr.TLS, maxBody: defaults.MaxBody, base: hr.Context(), leaving: context.Background()}
	r.body = requestBody{done: true}
	if hr.Body != nil && hr.Body != http.NoBody {
		r.body = requestBody{more: &bodyFromHTTP{hr, r}}
	}
	return r, nil
}

// peersFromHTTP knows the addresses of a request of net/http.
type peersFromHTTP struct{ hr *http.Request }

// RemoteAddr implements peers.
func (p peersFromHTTP) RemoteAddr() net.Addr { return textAddr(p.hr.RemoteAddr) }

// LocalAddr implements peers.
func (p peersFromHTTP) LocalAddr() net.Addr {
	if a, ok := p.hr.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return a
	}
	return textAddr("")
}

// textAddr is an address of which only the text is known.
type textAddr string

// Network implements net.Addr.
func (textAddr) Network() string { return "tcp" }

// String implements net.Addr.
func (a textAddr) String() string { return string(a) }

// bodyFromHTTP reads a body from net/http, and its trailer section in the end.
type bodyFromHTTP struct {
	hr *http.Request
	r  *Request
}

// Read implements io.Reader.
func (b *bodyFromHTTP) Read(p []byte) (int, error) {
	n, err := b.hr.Body.Read(p)
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return n, tooLarge(e.Limit)
	}
	if err == io.EOF && len(b.hr.Trailer) > 0 {
		b.r.trailer = trailerHead(b.hr.Trailer)
	}
	return n, err
}

// trailerHead returns a trailer section with those lines, but for those that none
// may have.
func trailerHead(t http.Header) *h1.Head {
	var b bytes.Buffer
	b.WriteString("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
	for _, key := range slices.Sorted(maps.Keys(t)) {
		for _, v := range t[key] {
			if v = clean(v); checkTrailer(key, v) == nil {
				fmt.Fprintf(&b, "%s: %s\r\n", key, v)
			}
		}
	}
	b.WriteString("\r\n")
	var c h1.ServerConn
	c.Reset(&h1.Config{MaxTrailer: -1, MaxTrailerFields: -1})
	for in := b.Bytes(); ; {
		ev, n, err := c.Next(in)
		if in = in[n:]; err != nil || ev.Kind == h1.EventEnd {
			return c.Trailer()
		}
	}
}

// overHTTP is an Exchange's carrier: net/http.
type overHTTP struct {
	w   http.ResponseWriter
	r   *http.Request
	rc  *http.ResponseController
	req *Request // nil if it was refused
	c   *conn    // of a server of ours, or nil
	st  *stream  // w, then

	extra    Fields // the Response's own
	close    bool
	status   int    // of a head that switches protocols
	fields   Fields // its
	trailers Fields
	served   bool  // by a net/http handler
	length   int64 // announced, or -1
	written  int64
}

// call calls the handler.
func (o *overHTTP) call(h Handler) (resp Response) {
	defer func() {
		p := recover()
		if p == ErrAbort {
			panic(p)
		} else if p != nil {
			o.panicked()
			o.log("server: handler panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			resp = o.render(500, fmt.Errorf("server: handler panicked: %v", p))
			resp.Close = true
		}
	}()
	resp = h(o.req)
	if err := resp.Body.Err(); err != nil {
		resp = o.failed(resp, err)
	}
	return resp
}

func (o *overHTTP) log(what string, args ...any) {
	log := slog.Default()
	if o.c != nil {
		log = o.c.srv.cfg.Log
	}
	log.Error(what, append([]any{"method", o.r.Method, "target", o.r.RequestURI}, args...)...)
}

// render makes the response to what is refused.
func (o *overHTTP) render(status int, err error) Response {
	if o.c != nil {
		page := o.c.page(o.req, status, err)
		page.Close = o.c.over // other streams go on
		return page
	}
	return renderError(o.req, status, err).WithStatus(status)
}

func (o *overHTTP) panicked() {
	if o.c != nil {
		o.c.srv.counts.panics.Add(1)
	}
}

// failed renders a response made by Err.
func (o *overHTTP) failed(resp Response, err error) Response {
	if resp.Status >= 500 {
		o.log("server: handler failed", "error", err)
	}
	render := renderError
	if o.c != nil {
		render = o.c.srv.cfg.RenderError
	}
	page := render(o.req, resp.Status, err).WithStatus(resp.Status)
	page.Header = append(page.Header, resp.Header...)
	page.Close = resp.Close
	return page
}

// respond writes a response that is no Drive.
func (o *overHTTP) respond(resp Response) {
	defer closeBody(&resp)
	status := resp.Status
	if status == 0 {
		status = 200
	}
	if status < 200 || status > 599 {
		o.log("server: response refused", "status", status)
		status, resp, o.close = 500, renderError(nil, 500, nil), true
	}
	h, b := o.w.Header(), &resp.Body
	o.close = o.close || resp.Close
	if b.contentType != "" {
		h["Content-Type"] = []string{b.contentType}
	}
	if n := b.Len(); n >= 0 && hasContent(status) {
		h.Set("Content-Length", fmt.Sprint(n))
	}
	o.setFields(resp.Header)
	o.w.WriteHeader(status)
	if o.r.Method == "HEAD" || !hasContent(status) {
		return
	}
	if err := o.content(b); err != nil {
		o.breakOff(err)
	}
}

// breakOff ends the response so that its client sees it truncated.
func (o *overHTTP) breakOff(err error) {
	if err != ErrAbort {
		o.log("server: response broken off", "error", err)
		_ = o.rc.Flush() // what there is of it; failing changes nothing
	}
	panic(http.ErrAbortHandler)
}

// setFields adds a response's lines to the header; a Content-Type replaces the one
// before it.
func (o *overHTTP) setFields(lists ...Fields) {
	h := o.w.Header()
	for _, f := range lists {
		if f.index("Content-Type") >= 0 {
			h.Del("Content-Type")
		}
		for i := range f {
			h.Add(f[i].Name, f[i].Value)
		}
	}
	if _, typed := h["Content-Type"]; !typed {
		h["Content-Type"] = nil // nothing is guessed
	}
	if o.close {
		h.Set("Connection", "close")
	}
}

func (o *overHTTP) content(b *Body) (err error) {
	switch b.kind {
	case bodyText:
		_, err = io.WriteString(o.w, b.text)
	case bodyBytes:
		_, err = o.w.Write(b.data)
	case bodyGather:
		for _, p := range b.source.([][]byte) {
			if _, err = o.w.Write(p); err != nil {
				return err
			}
		}
	case bodyReader:
		if b.length < 0 {
			_, err = io.Copy(o.w, b.reader())
		} else if _, err = io.CopyN(o.w, b.reader(), b.length); err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
	case bodyStream:
		err = o.stream(b.source.(func(*StreamWriter) error), b.limits)
	}
	return err
}

// stream runs a stream function.
func (o *overHTTP) stream(write func(*StreamWriter) error, l *StreamLimits) error {
	w := StreamWriter{to: flushing{o.w, o.rc}, limits: l}
	o.req.Context()
	w.guard = newGuard(l, func() {
		o.req.cancel()
		_ = o.rc.SetWriteDeadline(longAgo) // failing, the context's end is all there is
	})
	defer w.guard.stop()
	err := write(&w)
	if late := w.guard.stop(); late != nil {
		return late
	}
	for _, t := range w.trailers {
		o.w.Header().Add(http.TrailerPrefix+t.Name, t.Value)
	}
	return err
}

// flushing is a ResponseWriter that StreamWriter.Flush flushes.
type flushing struct {
	http.ResponseWriter
	rc *http.ResponseController
}

// FlushError flushes.
func (f flushing) FlushError() error { return f.rc.Flush() }
