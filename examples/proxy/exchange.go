package main

import (
	"context"
	"errors"

	"postern/examples/internal/program"
	"postern/h1"
)

var (
	errStale    = errors.New("the upstream had closed before it saw the request")
	errSwitched = errors.New("the upstream has switched protocols")
)

// exchange forwards the request whose head has been read, and its response. It
// reports whether another request may follow.
func (p *pair) exchange() bool {
	head := p.server.Request()
	content := !head.NoBody()
	if !content {
		_, _ = p.nextRequest() // EventEnd
	}
	if a := unfit(head); a != nil {
		return p.say(a)
	}
	err := p.attempt(head, content, true)
	if err == errStale {
		err = p.attempt(head, content, false)
	}
	p.mu.Lock()
	request, _ := p.server.State()
	goOn := !p.server.ShouldClose() && request != h1.Body // what nobody forwards nobody reads
	fault := p.fault
	p.mu.Unlock()
	switch a, _ := errors.AsType[*answer](err); {
	case err == nil:
		return goOn
	case err == errSwitched:
		p.tunnel()
		return false
	case fault != nil: // and the rest followed from it
		return p.say(fault)
	default:
		return p.say(a)
	}
}

// attempt forwards the request, over the upstream connection of the last one if reuse
// allows it and it looks alive, and the response. Its errors are errStale and
// errSwitched, and an *answer otherwise.
func (p *pair) attempt(head *h1.Head, content, reuse bool) error {
	reuse = reuse && repeatable(head) && p.alive()
	if !reuse {
		if err := p.connect(); err != nil {
			return err
		}
	}
	p.mu.Lock()
	out, err := p.appendRequest(head)
	if err == nil && !content {
		out, err = p.client.AppendEnd(out)
	}
	p.mu.Unlock()
	if err != nil {
		return &answer{status: 502, text: "the request cannot be forwarded", cause: err}
	}
	p.up.out = out
	uploaded := make(chan struct{})
	if content {
		go func() { // ends with the request's content, or when p.down is stopped and p.up closed
			defer close(uploaded)
			p.upload()
		}()
	} else {
		close(uploaded)
		if p.up.flush(p.timeout) != nil {
			p.abandon() // it may be answered all the same
		}
	}
	err = p.respond(reuse)
	p.mu.Lock()
	over, last := err != nil && err != errSwitched || p.client.ShouldClose(), p.server.ShouldClose()
	if over || last {
		_ = p.up.Close()
	}
	if request, _ := p.server.State(); over && request == h1.Body || last {
		p.down.stop()
	}
	p.mu.Unlock()
	<-uploaded
	return err
}

// repeatable reports whether the request may go out on a connection that has served
// before. The upstream may have closed that a moment ago, and then the request is
// sent once more: so it must have no content, which is not kept, and a method that
// may be repeated (RFC 9110 9.2.2).
func repeatable(head *h1.Head) bool {
	switch head.Method() {
	case h1.MethodGet, h1.MethodHead, h1.MethodOptions, h1.MethodPut, h1.MethodDelete:
		return head.NoBody()
	}
	return false
}

// alive reports whether the next request may go out on the upstream connection.
func (p *pair) alive() bool {
	if p.up.Conn == nil {
		return false
	}
	// What came behind the last response belongs to no request: to find it now is an
	// error, and CanBegin knows. Later it would be the next one's answer.
	_, _ = p.nextResponse()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.client.CanBegin()
}

// connect opens an upstream connection, instead of the one there is.
func (p *pair) connect() error {
	if p.up.Conn != nil {
		_ = p.up.Close()
	}
	ctx, cancel := context.WithTimeout(p.hard, p.timeout)
	defer cancel()
	conn, err := program.Dial(ctx, p.to)
	switch {
	case ctx.Err() != nil:
		return &answer{status: 504, text: "the upstream cannot be reached in time", cause: ctx.Err()}
	case err != nil:
		return &answer{status: 502, text: "the upstream cannot be reached", cause: err}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up.Conn, p.up.stopped = conn, false
	p.up.in.Reset(nil)
	p.client.Reset(&p.towardsUpstream)
	if p.hard.Err() != nil {
		_ = conn.Close() // kill came too early for it
	}
	return nil
}
