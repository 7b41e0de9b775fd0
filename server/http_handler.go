package server

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"postern/h1"
)

// HTTP makes a Handler of a net/http handler. It sees what package net/http would
// show it, and its client sees what package net/http would send; the differences
// are few, and listed in docs/design.md.
//
// One of them concerns http.MaxBytesReader, which cannot tell this ResponseWriter that
// its limit was passed: answer 413, and what is left of the body is neither read nor
// waited for.
//
// It runs as a Drive. The engine's limits and timeouts hold for it, but for a
// MaxBody that nobody has set: net/http has none. The values of the request's
// context are those of net/http, with Config.HTTP as its server.
func HTTP(h http.Handler) Handler {
	return func(*Request) Response {
		return Drive(func(x *Exchange) error {
			if under, ok := x.to.(*overHTTP); ok { // it is on net/http after all
				return under.serve(h)
			}
			return serveHTTP(h, x)
		})
	}
}

// serveHTTP runs a net/http handler on a connection of ours.
func serveHTTP(h http.Handler, x *Exchange) error {
	d := x.to.(*driven)
	c := d.c
	if c.srv.cfg.Limits.MaxBody == 0 && c.lst.Limits.MaxBody == 0 {
		x.req.SetMaxBody(-1)
	}
	x.req.half = x.req.ContentLength() == 0 // as lookAhead
	req, err := x.req.toHTTP(&httpContext{x.req.Context(), c.srv.http(), c.nc})
	if err != nil {
		return &Error{Status: 400, Err: err}
	}
	req.TLS = x.req.TLS()
	w := newHTTPWriter(x, d, req)
	d.after = w.release
	if req.ContentLength == 0 {
		d.lookAhead(x.req.cancel)
	} else {
		w.body = &httpBody{r: x.req.Body(), length: req.ContentLength, last: req.Close, ended: func() {
			req.Trailer = mergeTrailer(req.Trailer, x.req.Trailer())
			d.lookAhead(x.req.cancel)
		}}
		req.Body = w.body
	}
	h.ServeHTTP(w, req)
	w.stopNotify()
	x.req.cancel()
	return w.finish()
}

// httpContext has the values that net/http gives a request's context.
type httpContext struct {
	context.Context
	server *http.Server
	peers  peers
}

// Value implements context.Context.
func (c *httpContext) Value(key any) any {
	switch key {
	case http.ServerContextKey:
		return c.server
	case http.LocalAddrContextKey:
		return c.peers.LocalAddr()
	}
	return c.Context.Value(key)
}

// http returns the *http.Server that net/http handlers find in their context.
func (s *Server) http() *http.Server {
	if hs := s.shared(); hs != nil {
		return hs
	}
	s.std.CompareAndSwap(nil, &http.Server{ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelError)})
	return s.std.Load()
}

// shared returns what http has returned, or will, or nil.
func (s *Server) shared() *http.Server {
	if s.cfg.HTTP != nil {
		return s.cfg.HTTP
	}
	return s.std.Load()
}

// connState calls the ConnState hook, if there is one.
func (s *Server) connState(nc net.Conn, state http.ConnState) {
	if s.cfg.HTTP != nil && s.cfg.HTTP.ConnState != nil {
		s.cfg.HTTP.ConnState(nc, state)
	}
}

// toHTTP returns the request as package net/http would have read it, but for body
// and TLS.
func (r *Request) toHTTP(ctx context.Context) (*http.Request, error) {
	h := r.head
	req := &http.Request{
		Method:     r.Method(),
		RequestURI: r.Target(),
		Header:     make(http.Header, h.Len()),
		RemoteAddr: r.RemoteAddr().String(),
		Body:       http.NoBody,
	}
	if req.RemoteAddr == "" && r.RemoteAddr().Network() == "unix" {
		req.RemoteAddr = "@"
	}
	line, _, _ := bytes.Cut(h.Raw(), crlf)
	req.Proto = protocol(line[bytes.LastIndexByte(line, ' ')+1:])
	req.ProtoMajor, req.ProtoMinor, _ = http.ParseHTTPVersion(req.Proto)
	single := make([]string, h.Len())
	for i := range h.Len() {
		name, value := h.At(i)
		key := canonical(h.ID(i), name)
		if others, ok := req.Header[key]; ok {
			req.Header[key] = append(others, string(value))
		} else {
			single[i] = string(value)
			req.Header[key] = single[i : i+1 : i+1]
		}
	}
	target, authority := req.RequestURI, h.TargetForm() == h1.FormAuthority
	if authority {
		target = "http://" + target
	}
	var err error
	if req.URL, err = url.ParseRequestURI(target); err != nil {
		return nil, fmt.Errorf("server: request-target: %w", err)
	}
	if authority {
		req.URL.Scheme = ""
	}
	if req.Host = req.URL.Host; req.Host == "" {
		req.Host = req.Header.Get("Host")
	}
	delete(req.Header, "Host")
	if p := req.Header["Pragma"]; len(p) > 0 && p[0] == "no-cache" && len(req.Header["Cache-Control"]) == 0 {
		req.Header["Cache-Control"] = []string{"no-cache"} // RFC 9111 5.4
	}
	req.Close = h.HasToken(h1.FieldConnection, "close") ||
		h.Version() == h1.HTTP10 && !h.HasToken(h1.FieldConnection, "keep-alive")
	req.ContentLength = r.ContentLength()
	if req.ContentLength < 0 {
		req.TransferEncoding = []string{"chunked"}
		delete(req.Header, "Transfer-Encoding")
		for _, list := range req.Header["Trailer"] {
			for name := range strings.SplitSeq(list, ",") {
				if name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name)); name != "" {
					if req.Trailer == nil {
						req.Trailer = make(http.Header)
					}
					req.Trailer[name] = nil
				}
			}
		}
		delete(req.Header, "Trailer")
	}
	for _, p := range r.values {
		req.SetPathValue(p.Name, p.Value)
	}
	return req.WithContext(ctx), nil
}

var crlf = []byte("\r\n")

// protocol returns an HTTP-version, without allocating if it is a common one.
func protocol(b []byte) string {
	if string(b) == "HTTP/1.1" {
		return "HTTP/1.1"
	}
	return string(b)
}

// canonical returns the name of a field as net/http spells it.
func canonical(id h1.FieldID, name []byte) string {
	if int(id) < len(canonicalNames) && id != 0 {
		return canonicalNames[id]
	}
	return textproto.CanonicalMIMEHeaderKey(string(name))
}

// canonicalNames are those of the recognised fields.
var canonicalNames = func() (names []string) {
	for id := h1.FieldID(0); id == 0 || id.String() != ""; id++ {
		names = append(names, textproto.CanonicalMIMEHeaderKey(id.String()))
	}
	return names
}()

// mergeTrailer adds the trailer section that has come to what was announced.
func mergeTrailer(announced http.Header, came Header) http.Header {
	for name, value := range came.All() {
		if announced == nil {
			announced = make(http.Header)
		}
		announced.Add(name, value)
	}
	return announced
}
