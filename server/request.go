package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"

	"postern/h1"
)

// Handler answers one request. It does no I/O with the client: what it returns is
// written for it. Middleware is a func(Handler) Handler.
//
// A handler may block: each connection has its own goroutine. A panic is answered
// with 500 and logged.
type Handler func(*Request) Response

// Request is what a client asks for. It is valid until the handler has returned
// and its response's body has been produced; strings obtained from it may be kept,
// byte slices and the Request itself may not. It is not safe for concurrent use.
type Request struct {
	head     *h1.Head
	conn     *conn          // nil: there is none
	proto    *h1.ServerConn // has the trailer section in the end, or
	trailer  *h1.Head       // here it is
	values   []pathValue
	listener string
	peers    peers
	tls      *tls.ConnectionState
	maxBody  int64
	body     requestBody

	base    context.Context // what Context derives from
	leaving context.Context // ends when the server begins to shut down
	ctx     context.Context // once asked for
	cancel  context.CancelFunc
	half    bool // ctx ends also when the client has finished sending
}

// peers knows the connection's two addresses, which most handlers never ask for.
type peers interface {
	RemoteAddr() net.Addr
	LocalAddr() net.Addr
}

// noPeers is the connection of requests that come from nowhere.
type noPeers struct{}

func (noPeers) RemoteAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (n noPeers) LocalAddr() net.Addr { return n.RemoteAddr() }

// NewRequest makes a request as a client of that method, request-target, body and
// fields would, for testing handlers by calling them. Host is "test" unless given.
// A body that is a *bytes.Reader or *strings.Reader has a Content-Length, another
// one is chunked. It panics where the protocol would refuse the request.
func NewRequest(method, target string, body io.Reader, fields ...Field) *Request {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, target)
	if Fields(fields).index("Host") < 0 {
		b.WriteString("Host: test\r\n")
	}
	for _, f := range fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
	}
	if sized, ok := body.(interface{ Len() int }); ok {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", sized.Len())
	} else if body != nil {
		b.WriteString("Transfer-Encoding: chunked\r\n")
	}
	b.WriteString("\r\n")
	var c h1.ServerConn
	if _, _, err := c.Next(b.Bytes()); err != nil {
		panic(fmt.Sprintf("server: NewRequest(%q, %q): %v", method, target, err))
	}
	if path, _ := splitTarget(c.Request()); !validEscapes(path) {
		panic(fmt.Sprintf("server: NewRequest(%q, %q): bad escape in the path", method, target))
	}
	r := &Request{head: c.Request().Clone(), trailer: c.Trailer(), listener: "test", peers: noPeers{},
		maxBody: defaults.MaxBody, base: context.Background(), leaving: context.Background()}
	r.body = requestBody{more: body, done: body == nil}
	return r
}

// Method returns the method, such as "GET". It does not allocate for the methods
// of RFC 9110 and PATCH.
func (r *Request) Method() string {
	if m := r.head.Method(); m != h1.MethodOther {
		return m.String()
	}
	return string(r.head.MethodBytes())
}

// Target returns the request-target as it was sent (RFC 9112 3.2).
func (r *Request) Target() string { return string(r.head.Target()) }

// Path returns the target's path, percent-decoded and otherwise untouched: no dot
// segment and no slash is removed. It is "*" for OPTIONS *. It costs an allocation.
func (r *Request) Path() string {
	p := r.PathBytes()
	if bytes.IndexByte(p, '%') < 0 {
		return string(p)
	}
	s, _ := url.PathUnescape(string(p)) // the engine has checked the escapes
	return s
}

// PathBytes returns the path as it was sent, still encoded. It aliases the
// connection's buffer.
func (r *Request) PathBytes() []byte {
	path, _ := splitTarget(r.head)
	return path
}

// PathIs reports whether the path as it was sent equals s, without allocating.
func (r *Request) PathIs(s string) bool { return string(r.PathBytes()) == s }

// RawQuery returns the target's query as it was sent, without its question mark.
func (r *Request) RawQuery() string {
	_, q := splitTarget(r.head)
	return string(q)
}

// Query returns the query's parameters. An error names the first malformed one;
// the others are returned with it.
func (r *Request) Query() (url.Values, error) {
	v, err := url.ParseQuery(r.RawQuery())
	if err != nil {
		err = &Error{Status: 400, Err: fmt.Errorf("server: query: %w", err)}
	}
	return v, err
}

// Host returns the host and port that the request is addressed to: the target's
// authority if it has one, else the Host field (RFC 9112 3.3).
func (r *Request) Host() string { return string(r.head.Authority()) }

// Version returns the client's HTTP version.
func (r *Request) Version() h1.Version { return r.head.Version() }

// Header returns the view of the field lines.
func (r *Request) Header() Header { return Header{r.head} }

// Trailer returns the view of the trailer section; it is empty until the body has
// been read to its end.
func (r *Request) Trailer() Header {
	if r.trailer != nil {
		return Header{r.trailer}
	}
	return Header{r.proto.Trailer()}
}

// ContentLength returns the body's length in bytes, or -1 if it is chunked.
func (r *Request) ContentLength() int64 {
	if r.head.Framing() == h1.FramingChunked {
		return -1
	}
	n, _ := r.head.ContentLength()
	return n
}

// Listener returns the name of the listener that the request came through.
func (r *Request) Listener() string { return r.listener }

// RemoteAddr returns the client's address.
func (r *Request) RemoteAddr() net.Addr { return r.peers.RemoteAddr() }

// LocalAddr returns the address that the client connected to.
func (r *Request) LocalAddr() net.Addr { return r.peers.LocalAddr() }

// Clone returns a copy that stays valid after the handler has returned. It has no
// body, and its context is not cancelled when the exchange ends.
func (r *Request) Clone() *Request {
	c := *r
	c.head, c.trailer, c.proto, c.conn = r.head.Clone(), r.Trailer().head.Clone(), nil, nil
	c.body = requestBody{done: true}
	c.ctx, c.cancel = nil, nil
	return &c
}

// Context returns a context that is cancelled when the exchange has ended, the
// server is closed, or the client is found to be gone (where the transport tells).
// A client that has only finished sending is not gone, unless
// Config.CancelOnHalfClose says so. It costs nothing to handlers that do not ask
// for it.
func (r *Request) Context() context.Context {
	if r.ctx == nil {
		r.ctx, r.cancel = context.WithCancel(r.base)
		if c := r.conn; c != nil {
			r.half = r.half || c.srv.cfg.CancelOnHalfClose
			c.watch(r.cancel, r.half)
		}
	}
	return r.ctx
}

// StreamContext returns a context for a response that would never end by itself: it
// is cancelled when Context is, and when the server begins to shut down, which waits
// for the response to end.
func (r *Request) StreamContext() context.Context {
	ctx, cancel := context.WithCancel(r.Context())
	unhook := context.AfterFunc(r.leaving, cancel)
	context.AfterFunc(ctx, func() { unhook() }) // the server outlives the exchange
	return ctx
}

// end releases what the request's context holds.
func (r *Request) end() {
	if r.cancel != nil {
		r.cancel()
		if r.conn != nil {
			r.conn.hangup.Store(nil)
		}
	}
}

// splitTarget returns the path and the query of a request-target; both alias it.
func splitTarget(h *h1.Head) (path, query []byte) {
	t := h.Target()
	switch h.TargetForm() {
	case h1.FormAuthority:
		return nil, nil
	case h1.FormAbsolute:
		i := bytes.Index(t, []byte("://")) + len("://")
		n := bytes.IndexAny(t[i:], "/?")
		if n < 0 {
			return rootPath, nil
		}
		if t = t[i+n:]; t[0] == '?' {
			return rootPath, t[1:]
		}
	}
	if i := bytes.IndexByte(t, '?'); i >= 0 {
		return t[:i:i], t[i+1:]
	}
	return t, nil
}

// rootPath is the path of an absolute-form target that has none (RFC 9110 4.2.3).
var rootPath = []byte("/")

// validEscapes reports whether every "%" of a path starts an escape.
func validEscapes(path []byte) bool {
	for {
		i := bytes.IndexByte(path, '%')
		if i < 0 {
			return true
		}
		if path = path[i:]; len(path) < 3 || !hex(path[1]) || !hex(path[2]) {
			return false
		}
		path = path[3:]
	}
}

func hex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'f'
}
