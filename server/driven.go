package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"postern/h1"
	"postern/transport"
)

// driven is an Exchange's carrier: a connection of ours. Exchange.mu holds writers
// apart and reading holds readers apart; mu, the last to be taken, is held around
// each look at what both sides share and never during I/O.
type driven struct {
	c   *conn
	x   Exchange
	run func(*Exchange) error

	extra Fields // the Response's own, a middleware's perhaps
	close bool
	bare  bool // no Date unless given

	mu      sync.Mutex    // guards conn.proto, broken and ending
	reading chan struct{} // a lock that can be waited for under testing/synctest: what holds it may be I/O
	over    bool          // guarded by reading: run has returned

	spoiled atomic.Bool // the rest of the body cannot be read

	buf      []byte // content that is not yet a chunk
	length   int64  // announced, or -1
	given    int64  // bytes of content given to write, other than for HEAD
	framing  h1.Framing
	discards bool // the answer to HEAD
	trailers Fields
	ahead    *aheadRead // guarded by mu, as noAhead
	noAhead  bool
	after    func() // called when nobody reads or writes any more
}

func newDriven(c *conn, resp *Response) *driven {
	run, _ := resp.Body.source.(func(*Exchange) error)
	d := &driven{c: c, run: run, extra: resp.Header, close: resp.Close, length: -1, reading: make(chan struct{}, 1)}
	d.x = Exchange{req: &c.req, to: d}
	return d
}

// runDriven runs a Drive answer and ends its exchange. It reports whether the
// connection is still ours.
func (c *conn) runDriven() bool {
	d := c.driven
	c.goOnTime()
	err := c.produce(func() error { return d.run(&d.x) })
	c.inTime() // what is not begun by now is done here
	c.req.end()
	if !c.hijacked {
		d.finish(err)
	}
	d.leave()
	if c.hijacked {
		return false
	}
	if d.spoiled.Load() {
		c.fail(endGently)
	}
	if d.takeDeadlines() {
		_ = c.setReadDeadline(time.Time{}) // failing, the next read tells
		c.setWriteDeadline(time.Time{})
	}
	c.driven = nil
	c.end()
	return true
}

// leave waits for a read that is still going on, and lets no other one begin.
func (d *driven) leave() {
	d.stopAhead()
	d.reading <- struct{}{}
	d.over = true
	<-d.reading
	if f := d.after; f != nil {
		d.after = nil
		f()
	}
}

// read reads the request's body.
func (d *driven) read(r *Request, p []byte) (int, error) {
	d.reading <- struct{}{}
	defer func() { <-d.reading }()
	if d.over {
		return 0, errExchangeEnded
	}
	n, err := r.read(p)
	if err != nil && err != io.EOF {
		d.spoiled.Store(true)
	}
	return n, err
}

// finish ends the response, or breaks it off if run has failed. The client has all
// of it before anything else is waited for.
func (d *driven) finish(err error) {
	switch begun, err := d.conclude(err); {
	case begun:
	case err == ErrAbort:
		d.c.abort()
	default:
		d.refuse(err)
	}
}

// conclude ends a response that has a head, or gets one now. Without one it returns
// why.
func (d *driven) conclude(err error) (begun bool, why error) {
	d.x.mu.Lock()
	defer d.x.mu.Unlock()
	c := d.c
	c.now = c.srv.age()
	state := d.x.state
	if err == nil && state == exchangeNew {
		if err = d.x.begin(200, Fields{{"Content-Length", "0"}}); err == nil {
			state = exchangeBegun
		}
	}
	d.x.state = exchangeEnded
	switch {
	case c.broken:
		c.failure = errors.Join(c.failure, err)
	case state == exchangeSwitched:
		_ = c.flush() // the connection ends either way
		c.fail(endGently)
	case state == exchangeNew:
		return false, err
	default:
		if e := d.drain(); err == nil {
			err = e
		}
		if err == nil {
			err = d.end()
		}
		if err != nil {
			c.breakOff(err)
		} else {
			_ = c.flush() // failing, it has broken the connection
		}
	}
	return true, nil
}

// refuse answers with an error. Nobody else writes any more, but a body may still
// be read: that is waited for.
func (d *driven) refuse(err error) {
	c := d.c
	d.leave()
	c.driven = nil
	defer func() { c.driven = d }()
	var page Response
	if _, panicked := err.(*panicError); panicked {
		page = c.render(500, err)
	} else {
		page = c.failed(Err(err), err)
	}
	page.Header = append(page.Header[:len(page.Header):len(page.Header)], d.extra...)
	page.Close = page.Close || d.close
	c.respond(&page)
	if !c.broken {
		_ = c.flush() // failing, it has broken the connection
	}
}

// invite tells a client that waits for it to send the content.
func (d *driven) invite() error {
	wanted := func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.c.proto.WantsContinue()
	}
	if !wanted() {
		return nil
	}
	d.x.mu.Lock()
	defer d.x.mu.Unlock()
	switch {
	case d.x.state >= exchangeLate:
		return d.x.is(exchangeNew)
	case !wanted():
		return nil
	}
	return d.info(100, nil)
}

func (d *driven) hijack() (net.Conn, []byte, error) {
	c := d.c
	if err := d.flush(); err != nil {
		return nil, nil, err
	}
	d.stopAhead()
	d.mu.Lock()
	c.proto.Fail() // for those who go on reading
	d.mu.Unlock()
	if w, ok := c.nc.(transport.Watcher); ok && c.watched {
		_ = w.Watch(nil) // failing, it is closed
	}
	early := slices.Clone(c.in[c.r:c.w])
	if err := c.nc.SetDeadline(time.Time{}); err != nil {
		c.fail(endNow)
		return nil, nil, err
	}
	c.now = c.srv.age()
	c.record() // while the log is still there
	c.hijacked = true
	c.vacate()
	c.srv.connState(c.nc, http.StateHijacked)
	c.srv.forget(c)
	return c.nc, early, nil
}

// A deadline of the exchange's own counts from when it is stored, so nc's is set
// after that; see conn.setReadDeadline.

func (d *driven) setReadDeadline(t time.Time) error {
	d.c.readOwn.Store(&t)
	return d.c.nc.SetReadDeadline(t)
}

func (d *driven) setWriteDeadline(t time.Time) error {
	d.c.writeOwn.Store(&t)
	return d.c.nc.SetWriteDeadline(t)
}

// takeDeadlines forgets the deadlines that the exchange has set, and reports
// whether there were any.
func (d *driven) takeDeadlines() bool {
	r, w := d.c.readOwn.Swap(nil), d.c.writeOwn.Swap(nil)
	return r != nil || w != nil
}
