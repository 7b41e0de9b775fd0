package main

import (
	"errors"
	"io"
	"os"

	"postern/h1"
)

// upload forwards the request's content.
func (p *pair) upload() {
	for {
		ev, err := p.nextRequest()
		if err != nil {
			p.fail(refusal(err))
			return
		}
		switch ev.Kind {
		case h1.EventData:
			p.mu.Lock()
			p.up.out, err = p.client.AppendData(p.up.out, ev.Data)
			p.mu.Unlock()
			if err != nil {
				return // its response is complete, and the upstream closes
			}
			if len(p.up.out) >= batchSize && p.up.flush(p.timeout) != nil {
				p.abandon()
				return
			}
		case h1.EventEnd:
			p.mu.Lock()
			p.up.out, err = appendEnd(&p.client, p.up.out, p.server.Trailer())
			p.mu.Unlock()
			if err == nil && p.up.flush(p.timeout) != nil {
				p.abandon()
			}
			p.locked(func() { _ = p.up.wait(p.timeout) })
			return
		case h1.EventNeedData:
			if p.up.flush(p.timeout) != nil {
				p.abandon()
				return
			}
			if !p.readContent() {
				return
			}
		default: // the response is complete, and was the connection's last
			return
		}
	}
}

// readContent reads more of the request's content.
func (p *pair) readContent() bool {
	p.mu.Lock()
	err := p.down.wait(p.timeout)
	waits := p.server.WantsContinue()
	p.mu.Unlock()
	if err == nil {
		err = p.down.read()
	}
	switch {
	case err == nil:
	case errors.Is(err, errStopped):
		return false
	case !errors.Is(err, os.ErrDeadlineExceeded):
		p.locked(p.server.FailInput)
	case waits:
		p.fail(&answer{status: 504, text: "the upstream did not ask for the content in time"})
		return false
	default:
		p.fail(&answer{status: 408, text: "the request's content took too long"})
		return false
	}
	return true
}

// fail ends the exchange from upload's side: the client's fault, as a rule.
func (p *pair) fail(a *answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = a
	p.up.stop()
}

// abandon gives up sending the request, not its response: an upstream that has enough
// answers, and closes.
func (p *pair) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.client.Abandon() // there may be nothing left to abandon
	_ = p.up.wait(p.timeout)
}

// respond forwards the response, interim ones before it included.
func (p *pair) respond(reused bool) error {
	for heard := !reused; ; {
		ev, err := p.nextResponse()
		switch {
		case err != nil && !heard:
			return errStale
		case err != nil:
			return &answer{status: 502, text: "the upstream's response is malformed or incomplete", cause: err}
		}
		switch ev.Kind {
		case h1.EventInfo, h1.EventResponse:
			p.mu.Lock()
			p.down.out, err = p.appendResponse(p.client.Response())
			p.mu.Unlock()
		case h1.EventData:
			p.mu.Lock()
			p.down.out, err = p.server.AppendData(p.down.out, ev.Data)
			p.mu.Unlock()
			if len(p.down.out) >= batchSize && p.down.flush(p.timeout) != nil {
				return &answer{}
			}
		case h1.EventEnd:
			p.mu.Lock()
			p.down.out, err = appendEnd(&p.server, p.down.out, p.client.Trailer())
			p.mu.Unlock()
		}
		switch {
		case err != nil:
			return &answer{status: 502, text: "the upstream's response cannot be forwarded", cause: err}
		case ev.Kind == h1.EventInfo || ev.Kind == h1.EventResponse || ev.Kind == h1.EventData:
			continue // to write it with what came with it
		case p.down.flush(p.timeout) != nil:
			return &answer{}
		case ev.Kind == h1.EventEnd:
			return nil
		case ev.Kind == h1.EventSwitched:
			return errSwitched
		}
		if err := p.readResponse(); err != nil {
			return err
		}
		heard = heard || len(p.up.in.Unread()) > 0
	}
}

// readResponse reads more of the response. While the request is still being sent only
// upload's deadlines count: an upstream need not answer before it has all of it.
func (p *pair) readResponse() error {
	p.mu.Lock()
	patience := p.timeout
	if request, _ := p.client.State(); request == h1.Body {
		patience = 0
	}
	err := p.up.wait(patience)
	p.mu.Unlock()
	if err == nil {
		err = p.up.read()
	}
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, errStopped):
		return &answer{status: 504, text: "the upstream did not answer in time"}
	case err == io.EOF:
		p.locked(p.client.CloseInput)
	default:
		p.locked(p.client.FailInput)
	}
	return nil
}
