package main

import (
	"bytes"
	"strconv"
	"time"

	"postern/h1"
)

// unfit returns the answer to a request that is not for the upstream, or nil.
func unfit(head *h1.Head) *answer {
	switch head.Method() {
	case h1.MethodConnect, h1.MethodTrace:
		return &answer{status: 501, text: "no " + head.Method().String() + " through this proxy"}
	case h1.MethodOptions:
		if n, ok := forwards(head); ok && n == 0 { // RFC 9110 7.6.2
			return &answer{status: 200, text: "this is a proxy"}
		}
	}
	return nil
}

// forwards returns how often the request may still be forwarded, if it says so.
func forwards(head *h1.Head) (n int64, ok bool) {
	v, ok := head.Get(h1.FieldMaxForwards)
	u, err := strconv.ParseUint(string(v), 10, 31)
	return int64(u), ok && err == nil
}

// appendRequest appends the head of the request to p.up.out.
func (p *pair) appendRequest(head *h1.Head) ([]byte, error) {
	w := p.client.BeginBytes(p.up.out, head.MethodBytes(), origin(head), head.Authority())
	if head.Framing() == h1.FramingChunked {
		w.Chunked()
	}
	w.CopyFields(head, func(i int) bool {
		switch head.ID(i) {
		case h1.FieldMaxForwards:
			return false // is counted down
		case h1.FieldForwarded, h1.FieldXForwardedFor:
			return false // what a client says of itself proves nothing
		case h1.FieldExpect:
			return head.Version() == h1.HTTP11 // who knows no 1xx does not wait for 100
		}
		return !head.HopByHop(i)
	})
	if n, ok := forwards(head); ok {
		if head.Method() == h1.MethodOptions {
			n--
		}
		w.Int(h1.FieldMaxForwards, n)
	}
	if head.HasToken(h1.FieldTE, "trailers") {
		w.Known(h1.FieldTE, "trailers")
	}
	// An offer may be passed on or not (RFC 9110 7.8). One with content could be taken
	// before all of that was sent, and HTTP/2 would hide its requests from us.
	if head.OffersUpgrade() && head.NoBody() && !head.HasToken(h1.FieldUpgrade, "h2c") {
		for v := range head.Values(h1.FieldUpgrade) {
			w.FieldBytes("Upgrade", v)
		}
	}
	if p.peer != "" {
		w.Known(h1.FieldXForwardedFor, p.peer)
	}
	w.Known(h1.FieldVia, p.via(head))
	return w.End()
}

// origin returns the request-target as an origin server takes it (RFC 9112 3.2.1).
func origin(head *h1.Head) []byte {
	target := head.Target()
	if head.TargetForm() != h1.FormAbsolute {
		return target
	}
	_, rest, _ := bytes.Cut(target, []byte("://"))
	rest = rest[len(head.Authority()):]
	switch {
	case len(rest) == 0 && head.Method() == h1.MethodOptions:
		return []byte("*") // RFC 9112 3.2.4
	case len(rest) == 0 || rest[0] == '?':
		return append([]byte("/"), rest...)
	}
	return rest
}

// appendResponse appends the head of a response, final or interim, to p.down.out.
func (p *pair) appendResponse(head *h1.Head) ([]byte, error) {
	status := head.Status()
	if status < 200 && status != 101 && p.server.Request().Version() == h1.HTTP10 {
		return p.down.out, nil // which knows no interim responses
	}
	w := p.server.Begin(p.down.out, status)
	if reason := head.Reason(); len(reason) > 0 {
		w.Reason(string(reason))
	}
	w.CopyFields(head, nil) // where there is no length, h1 chooses what the client understands
	w.Known(h1.FieldVia, p.via(head))
	if _, ok := head.Get(h1.FieldDate); !ok && status >= 200 {
		w.Known(h1.FieldDate, date()) // RFC 9110 6.6.1
	}
	// A request that the upstream does not take to its end, we do not read to its end.
	request, _ := p.server.State()
	sent, _ := p.client.State()
	if status >= 200 && request == h1.Body && (sent == h1.Closed || !head.KeepAlive() || head.Framing() == h1.FramingClose) {
		w.Close()
	}
	return w.End()
}

// via says which version the message came in, and who has forwarded it (RFC 9110
// 7.6.3).
func (p *pair) via(head *h1.Head) string {
	if head.Version() == h1.HTTP10 {
		return "1.0 " + p.name
	}
	return "1.1 " + p.name
}

func date() string { return time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") }

// sender is what both machines have to end a message.
type sender interface {
	Sending() h1.Framing
	BeginTrailer(dst []byte) h1.HeadWriter
	AppendEnd(dst []byte) ([]byte, error)
}

// appendEnd ends a message, with the trailer section that it came with if there is a
// place for that.
func appendEnd(c sender, dst []byte, trailer *h1.Head) ([]byte, error) {
	if trailer.Len() > 0 && c.Sending() == h1.FramingChunked {
		w := c.BeginTrailer(dst)
		w.CopyFields(trailer, nil)
		return w.End()
	}
	return c.AppendEnd(dst)
}
