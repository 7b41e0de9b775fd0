package server

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"

	"postern/h1"
)

// respond appends resp to out.
func (c *conn) respond(resp *Response) {
	if c.req.body.failed != nil || c.unreadable(resp) {
		resp.Close = true
	}
	if c.srv.draining.Load() {
		c.proto.DisableKeepAlive()
	}
	if c.readsBody(resp) && c.proto.WantsContinue() {
		c.out, _ = c.proto.AppendInfo(c.out, 100) // once the head is out it is too late
	}
	if c.appendFixed(resp) {
		return
	}
	if err := c.appendHead(resp); err != nil {
		c.srv.cfg.Log.Error("server: response refused", "error", err, "status", resp.Status,
			"target", c.target(), "listener", c.lst.Name)
		_ = c.produce(func() error { closeBody(resp); return nil })
		*resp = c.render(500, err)
		if err = c.appendHead(resp); err != nil {
			*resp = renderError(nil, 500, err)
			err = c.appendHead(resp)
		}
		if err != nil {
			c.fail(endGently)
			return
		}
	}
	var err error
	if resp.Body.kind <= bodyGather { // no code of a handler's runs
		err = c.appendBody(resp)
	} else {
		err = c.produce(func() error { return c.appendBody(resp) })
	}
	if c.readsBody(resp) {
		c.now = c.srv.age()
	}
	if err != nil {
		c.breakOff(err)
		return
	}
	if !c.ended {
		c.out, _ = c.proto.AppendEnd(c.out) // appendBody has sent all that was announced
	}
}

// breakOff ends the connection in the middle of a response.
func (c *conn) breakOff(err error) {
	c.failure = err
	ours := !c.broken || errors.Is(err, ErrStreamLimit) // clients may go away, unlogged
	if ours && !errors.Is(err, ErrAbort) {
		c.srv.cfg.Log.Warn("server: response broken off", "error", err, "target", c.target(), "listener", c.lst.Name)
	}
	if !c.broken && c.flush() == nil {
		c.fail(endGently) // what there is of it shows that the rest is missing
	}
}

// abort ends the connection without a response. What was answered before is
// still to be written.
func (c *conn) abort() {
	c.failure = ErrAbort
	c.fail(endGently)
}

// target is the request-target for the log, if there was a request.
func (c *conn) target() string {
	if c.req.head == nil {
		return ""
	}
	if c.driven != nil { // whose body may be read, which moves the head
		c.driven.mu.Lock()
		defer c.driven.mu.Unlock()
	}
	return c.req.Target()
}

// produce calls code that may be a handler's: a panic in it is an error.
func (c *conn) produce(f func() error) (err error) {
	returned := false
	defer func() {
		p := recover()
		if p == ErrAbort || p == nil && !returned { // GODEBUG=panicnil=1
			err = ErrAbort
		} else if p != nil {
			err = &panicError{p}
			c.srv.counts.panics.Add(1)
			c.srv.cfg.Log.Error("server: response panicked", "panic", fmt.Sprint(p), "target", c.target(),
				"listener", c.lst.Name, "stack", string(debug.Stack()))
		}
	}()
	err = f()
	returned = true
	return err
}

// panicError is a panic in a handler's code, which has been logged.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("server: response panicked: %v", e.value) }

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
		w.Known(h1.FieldDate, c.srv.commonAt(c.now).date)
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

func (c *conn) appendBody(resp *Response) (err error) {
	b := &resp.Body
	if b.kind == bodyReader {
		defer closeBody(resp)
	}
	if c.proto.Sending() == h1.FramingNone || !hasContent(c.status) {
		return nil
	}
	switch b.kind {
	case bodyReader:
		return c.copyFrom(b.reader(), b.length)
	case bodyStream:
		return c.stream(b.source.(func(*StreamWriter) error), b.limits)
	}
	if c.out, err = c.proto.BeginData(c.out, b.Len()); err != nil {
		return err
	}
	switch b.kind {
	case bodyText:
		err = appendPieces(c, b.text)
	case bodyBytes:
		err = appendPieces(c, b.data)
	case bodyGather:
		for _, p := range b.source.([][]byte) {
			if err = appendPieces(c, p); err != nil {
				return err
			}
		}
	}
	if err == nil {
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
	if c.proto.Sending() == h1.FramingLength && c.fromFile(r, n) {
		return c.copyFile(r, n)
	}
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
func (c *conn) stream(write func(*StreamWriter) error, l *StreamLimits) error {
	w := StreamWriter{conn: c, limits: l}
	counted := c.proto.Sending() != h1.FramingClose
	w.guard = newGuard(l, func() { c.cut(counted) })
	defer func() { w.conn, w.err = nil, errStreamEnded }() // the connection has other uses
	defer w.guard.stop()
	err := write(&w)
	if late := w.guard.stop(); late != nil {
		return late
	}
	if err == nil {
		err = w.err
	}
	if w.err == nil || errors.Is(w.err, ErrStreamLimit) {
		err = errors.Join(err, w.drain())
	}
	if err == nil && len(w.trailers) > 0 && c.proto.Sending() == h1.FramingChunked {
		c.ended = true
		t := c.proto.BeginTrailer(c.out)
		for i := range w.trailers {
			t.Field(w.trailers[i].Name, w.trailers[i].Value)
		}
		c.out, err = t.End()
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
