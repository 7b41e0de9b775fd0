package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"postern/h1"
)

// pair is a client connection, the upstream connection behind it, and a machine for
// each. Two goroutines move its bytes:
//
//   - requests: from down.in through server and client to up.out;
//   - responses: from up.in through client and server to down.out.
//
// So each buffer has one owner, and only the machines have two: mu is held for each
// call of theirs and for deadlines, never while reading or writing. The goroutine of
// requests runs only while content comes (upload), since nothing else takes time on
// that way; otherwise the pair's own goroutine is both.
//
// Views of the request's head stay valid until something is read behind it. All that
// needs them is done before upload starts.
type pair struct {
	*proxy
	hard     context.Context // ends when nothing may go on any more
	down, up link            // to the client and to the upstream; up.Conn is nil before the first request
	peer     string          // the client's IP address, if it has one

	mu       sync.Mutex
	server   h1.ServerConn // what we are to the client
	client   h1.ClientConn // what we are to the upstream
	draining bool          // no more requests
	fault    *answer       // why upload gave up
}

func newPair(p *proxy, conn net.Conn) *pair {
	c := &pair{proxy: p, down: link{Conn: conn}}
	if addr, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		c.peer = addr.IP.String()
	}
	c.server.Reset(&p.towardsClient)
	return c
}

// serve forwards one request after another. It takes no more once soft ends, and
// breaks off when hard does.
func (p *pair) serve(soft, hard context.Context) {
	p.hard = hard
	defer context.AfterFunc(soft, p.drain)()
	defer context.AfterFunc(hard, p.kill)()
	for p.request() && p.exchange() {
	}
	p.finish()
}

func (p *pair) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
	p.server.DisableKeepAlive()
	if p.server.Phase() == h1.PhaseIdle {
		p.down.stop()
	}
}

func (p *pair) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.down.Close()
	if p.up.Conn != nil {
		_ = p.up.Close()
	}
}

// request reads up to the end of a request's head. It reports whether there is one.
func (p *pair) request() bool {
	for begun := false; ; {
		ev, err := p.nextRequest()
		switch {
		case err != nil:
			p.say(refusal(err))
			return false
		case ev.Kind == h1.EventRequest:
			return true
		case ev.Kind == h1.EventClosed:
			return false
		}
		if begun, err = p.await(begun); err == nil {
			err = p.down.read()
		}
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, errStopped):
			p.locked(p.server.CloseInput)
		case begun:
			p.say(&answer{status: 408, text: "the request's head took too long"})
			return false
		default: // nothing of ours is on its way: no need to linger
			_ = p.down.Close()
			return false
		}
	}
}

// await sets the time for a request to begin, or, once it has, for its head to end:
// for all of it, so that sending it byte by byte gains nothing. begun is what it
// returned before.
func (p *pair) await(begun bool) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch idle := p.server.Phase() == h1.PhaseIdle; {
	case idle && p.draining:
		return false, errStopped
	case idle:
		return false, p.down.wait(p.idle)
	case !begun:
		return true, p.down.wait(p.timeout)
	}
	return true, nil
}

// lingerTime is how long a client may take to read our last words and close.
const lingerTime = 5 * time.Second

// finish closes both connections, the client's in stages: what it still sends would
// otherwise turn the close into a reset, which destroys a response on its way (RFC
// 9112 9.6).
func (p *pair) finish() {
	if p.up.Conn != nil {
		_ = p.up.Close()
	}
	if p.down.closeWrite() == nil {
		_ = p.down.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.Copy(io.Discard, p.down.Conn)
	}
	_ = p.down.Close()
}

// nextRequest is the next event of the client's.
func (p *pair) nextRequest() (h1.Event, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ev, n, err := p.server.Next(p.down.in.Unread())
	p.down.in.Consumed(n)
	return ev, err
}

// nextResponse is the next event of the upstream's.
func (p *pair) nextResponse() (h1.Event, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ev, n, err := p.client.Next(p.up.in.Unread())
	p.up.in.Consumed(n)
	return ev, err
}

// locked calls f with mu held.
func (p *pair) locked(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// answer is what the proxy itself answers, instead of the upstream. As an error it is
// why.
type answer struct {
	status int // 0: the client cannot be told
	text   string
	cause  error // for the log, which may know more than the client
}

func (a *answer) Error() string { return a.text }

// refusal is the answer to a request that h1 refuses.
func refusal(err error) *answer {
	if e, ok := errors.AsType[*h1.Error](err); ok {
		return &answer{status: e.Status, text: strings.TrimPrefix(e.Code.Error(), "h1: ")}
	}
	return &answer{status: 500, text: err.Error()}
}

// say gives the proxy's own answer to the request. If the upstream's has begun, it
// can only be broken off. say reports whether another request may follow.
func (p *pair) say(a *answer) bool {
	if a.cause != nil {
		p.log.Printf("%s: %v", a.text, a.cause)
	}
	p.mu.Lock()
	out, err := p.appendAnswer(a)
	goOn := !p.server.ShouldClose()
	endless := p.server.Sending() == h1.FramingClose
	p.mu.Unlock()
	if err == nil {
		p.down.out = out
		err = p.down.flush(p.timeout)
	}
	switch {
	case err == nil:
		return goOn
	case endless: // only a reset tells that this is not its end
		p.down.reset()
	default:
		_ = p.down.Close()
	}
	return false
}

func (p *pair) appendAnswer(a *answer) ([]byte, error) {
	w := p.server.Begin(p.down.out, a.status)
	if request, _ := p.server.State(); request != h1.Done {
		w.Close() // the rest of it is not read
	}
	w.Known(h1.FieldContentType, "text/plain; charset=utf-8")
	w.Known(h1.FieldDate, date())
	w.Length(int64(len(a.text) + 1))
	out, err := w.End()
	if err == nil {
		out, err = p.server.AppendData(out, append([]byte(a.text), '\n'))
	}
	if err == nil {
		out, err = p.server.AppendEnd(out)
	}
	return out, err
}
