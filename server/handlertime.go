package server

import (
	"net/http"
	"sync/atomic"
	"time"

	"postern/h1"
)

// ErrHandlerTimeout is wrapped by the error with which reading a body or writing
// fails once the client was told 504. It is http.ErrHandlerTimeout.
var ErrHandlerTimeout = http.ErrHandlerTimeout

var errLate = &Error{Status: 504, Err: ErrHandlerTimeout}

// handlerTime answers 504 for a handler that takes longer than
// Limits.HandlerTimeout. until says who may touch the connection, and everybody
// changes it by compare-and-swap:
//
//	timeOff             the connection's goroutine; no handler runs
//	t, a positive time  nobody: the handler runs, until t
//	-t                  whoever reads the body for the handler
//	timeOver            the timer, until it closes acted; then the first of the above
//
// A timer that fires late finds another time than its own, or none.
type handlerTime struct {
	timer *time.Timer
	until atomic.Int64 // ns since Server.born
	due   int64        // what until was set to
	acted chan struct{}
}

const (
	timeOff  int64 = 0
	timeOver int64 = -1 << 63
)

// startTime begins the time of a handler, if it is limited.
func (c *conn) startTime() {
	limit := c.lst.limits.HandlerTimeout
	if limit <= 0 {
		return
	}
	if c.limit == nil {
		c.limit = new(handlerTime)
	}
	c.limit.due = int64(time.Since(c.srv.born) + limit)
	c.goOnTime()
}

// goOnTime goes on with the time that inTime has ended: that of a Drive, whose
// handler has returned.
func (c *conn) goOnTime() {
	h := c.limit
	if h == nil {
		return
	}
	if h.acted == nil {
		h.acted = make(chan struct{})
	}
	h.until.Store(h.due)
	left := time.Duration(h.due) - time.Since(c.srv.born)
	if h.timer == nil {
		h.timer = time.AfterFunc(left, c.overdue)
	} else {
		h.timer.Reset(left)
	}
}

// inTime ends the handler's time and reports whether it was not over. If it was,
// what the timer does about that is done.
func (c *conn) inTime() bool {
	h := c.limit
	if h == nil {
		return true
	}
	for {
		switch was := h.until.Load(); {
		case was == timeOff:
			return true
		case was == timeOver:
			<-h.acted
			h.acted = nil
			h.until.Store(timeOff)
			return false
		case h.until.CompareAndSwap(was, timeOff):
			h.timer.Stop()
			return true
		}
	}
}

// overdue is called by the timer.
func (c *conn) overdue() {
	h := c.limit
	was := h.until.Load()
	for ; ; was = h.until.Load() {
		if was == timeOff || was == timeOver || int64(time.Since(c.srv.born)) < max(was, -was) {
			return
		}
		if h.until.CompareAndSwap(was, timeOver) {
			break
		}
	}
	defer close(h.acted)
	switch {
	case c.driven != nil:
		c.driven.overdue()
	case was < 0: // who reads will find out
		c.cancelLate()
		c.endReads()
	default:
		c.cancelLate()
		c.answerLate(nil)
		c.noteLate()
	}
}

// readInTime reads the body while a handler runs, or produces its response.
func (c *conn) readInTime(p []byte) (int, error) {
	h := c.limit
	t := h.until.Load()
	if t == timeOff {
		return c.req.read(p)
	}
	if t == timeOver || !h.until.CompareAndSwap(t, -t) {
		return 0, errLate
	}
	n, err := c.req.read(p)
	if h.until.CompareAndSwap(-t, t) {
		return n, err
	}
	<-h.acted
	c.req.body.failed = errLate
	c.answerLate(nil)
	c.noteLate()
	return 0, errLate
}

// overdue answers 504 if the response has not begun. Writers and readers may be at
// work: those wait here, these come to an end.
func (d *driven) overdue() {
	c := d.c
	if !d.refuseLate() {
		return
	}
	d.reading <- struct{}{} // nobody moves the head
	defer func() { <-d.reading }()
	c.noteLate()
}

func (d *driven) refuseLate() bool {
	d.x.mu.Lock()
	defer d.x.mu.Unlock()
	if d.x.state != exchangeNew {
		return false
	}
	d.x.state = exchangeLate
	d.c.cancelLate()
	d.c.endReads()
	d.c.answerLate(d)
	return true
}

// cancelLate cancels the request's context, also one that is not asked for yet.
func (c *conn) cancelLate() {
	c.state.Or(stateLate)
	c.tell()
}

// endReads makes reads of the body fail.
func (c *conn) endReads() {
	c.readOwn.Store(&longAgo)
	_ = c.nc.SetReadDeadline(longAgo) // failing, it is closed
}

// answerLate writes what is due and 504, and closes for writing. The Request is the
// handler's still.
func (c *conn) answerLate(d *driven) {
	c.now = c.srv.age()
	c.failure = ErrHandlerTimeout
	c.srv.counts.handler.Add(1)
	if c.broken {
		return
	}
	page := c.page(nil, 504, errLate)
	if d != nil {
		page.Header = append(page.Header[:len(page.Header):len(page.Header)], d.extra...)
	}
	err := c.appendLate(d, page)
	if err != nil {
		c.srv.cfg.Log.Error("server: response refused", "error", err, "status", 504, "listener", c.lst.Name)
		page = renderError(nil, 504, nil)
		page.Close = true
		err = c.appendLate(d, page)
	}
	if err == nil {
		err = c.flush()
	}
	if err != nil {
		c.fail(endNow)
		return
	}
	c.fail(endGently)
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // finish tries again
	}
}

// appendLate appends a whole response. What makes its content is called before.
func (c *conn) appendLate(d *driven, page Response) error {
	var content []byte
	err := c.produce(func() (err error) {
		content, err = page.Body.ReadAll()
		return err
	})
	if err != nil {
		return err
	}
	page.Body = Body{kind: bodyBytes, contentType: page.Body.contentType, data: content}
	if d != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
	}
	if err := c.appendHead(&page); err != nil {
		return err
	}
	if c.proto.Sending() != h1.FramingNone {
		c.out, err = c.proto.AppendData(c.out, content)
		c.written = int64(len(content))
	}
	if err == nil {
		c.out, err = c.proto.AppendEnd(c.out)
	}
	return err
}

// noteLate records the exchange: its handler may never return.
func (c *conn) noteLate() {
	c.srv.cfg.Log.Warn("server: handler timed out", "after", c.lst.limits.HandlerTimeout, "method", c.req.Method(),
		"target", c.req.Target(), "listener", c.lst.Name)
	c.record()
	c.noted = true
}

// dropLate closes a response that comes too late.
func (c *conn) dropLate(resp *Response) {
	_ = c.produce(func() error { closeBody(resp); return nil })
}
