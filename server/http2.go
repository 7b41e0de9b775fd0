package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

// http2 serves the connections of a listener whose handshake agreed on HTTP/2: it
// hands them to an http.Server of net/http, which knows no other protocol, and whose
// handler is the listener's. It is started by the first such connection.
//
// It is a net.Listener for that server. The connections stay the Server's: they are
// counted until the http.Server has closed them.
type http2 struct {
	lst    *listener
	server *http.Server
	conns  chan net.Conn
	closed chan struct{} // closed by Close
	once   sync.Once     // guards closed
	ended  chan struct{} // closed when Serve has returned

	mu     sync.Mutex
	owners map[net.Conn]*conn
}

// isHTTP2 reports whether the handshake agreed on HTTP/2.
func (c *conn) isHTTP2() bool { return c.tls != nil && c.tls.NegotiatedProtocol == "h2" }

// handOver hands the connection to net/http, or closes it. It is called by the
// connection's goroutine, which ends.
func (c *conn) handOver() {
	c.ending = endNow
	nc, ok := c.nc.(*tls.Conn)
	if t, wrapped := c.nc.(interface{ TLS() *tls.Conn }); wrapped {
		nc, ok = t.TLS(), true
	}
	if !ok { // it speaks TLS of another make
		return
	}
	h := c.lst.http2()
	if h == nil {
		return
	}
	c.expect(0, alarmOff)
	h.mu.Lock()
	h.owners[nc] = c
	h.mu.Unlock()
	c.hijacked = true // from here on others close it
	select {
	case h.conns <- nc:
	case <-h.closed:
		c.hijacked = false
		h.mu.Lock()
		delete(h.owners, nc)
		h.mu.Unlock()
	}
}

// http2 returns what serves HTTP/2, or nil if the server is shutting down.
func (l *listener) http2() *http2 {
	l.srv.mu.Lock()
	defer l.srv.mu.Unlock()
	if l.h2 != nil || l.srv.draining.Load() {
		return l.h2
	}
	h := &http2{
		lst:    l,
		conns:  make(chan net.Conn),
		closed: make(chan struct{}),
		ended:  make(chan struct{}),
		owners: make(map[net.Conn]*conn),
	}
	var only http.Protocols
	only.SetHTTP2(true)
	h.server = &http.Server{
		Protocols:                    &only,
		Handler:                      h,
		DisableGeneralOptionsHandler: true,                     // OPTIONS * is counted, too
		MaxHeaderBytes:               max(l.limits.MaxHead, 0), // 0: net/http's own default
		IdleTimeout:                  l.limits.IdleTimeout,
		HTTP2:                        &http.HTTP2Config{WriteByteTimeout: max(l.limits.WriteTimeout, 0)},
		ErrorLog:                     slog.NewLogLogger(l.srv.cfg.Log.Handler(), slog.LevelError),
		BaseContext:                  func(net.Listener) context.Context { return l.srv.base },
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, ownerKey{}, h.owner(nc))
		},
		ConnState: h.connState,
	}
	l.h2 = h
	l.srv.http2s = append(l.srv.http2s, h)
	go func() { // ends with Close, which the server's Shutdown and Close call
		defer close(h.ended)
		_ = h.server.Serve(h)
	}()
	return h
}

type ownerKey struct{}

func (h *http2) owner(nc net.Conn) *conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.owners[nc]
}

// connState is the http.Server's ConnState.
func (h *http2) connState(nc net.Conn, state http.ConnState) {
	c := h.owner(nc)
	switch {
	case state == http.StateNew, c == nil: // we have said that before
		return
	case state == http.StateClosed:
		h.mu.Lock()
		delete(h.owners, nc)
		h.mu.Unlock()
		_ = c.nc.Close() // nc is closed, and what is around it may hold more
	}
	c.srv.connState(c.nc, state)
	if state == http.StateClosed {
		c.srv.forget(c)
	}
}

// Accept implements net.Listener.
func (h *http2) Accept() (net.Conn, error) {
	select {
	case nc := <-h.conns:
		return nc, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener: Accept and handOver wait no longer.
func (h *http2) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr implements net.Listener.
func (h *http2) Addr() net.Addr { return h.lst.Addr() }

// shutdown tells HTTP/2 clients to go, and returns a function that ends that. s.mu is
// held.
func (s *Server) shutdownHTTP2(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for _, h := range s.http2s {
		all.Go(func() { _ = h.server.Shutdown(ctx) }) // the connections are waited for elsewhere
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// closeHTTP2 ends what serves HTTP/2, and its connections.
func (s *Server) closeHTTP2() {
	s.mu.Lock()
	all := s.http2s
	s.mu.Unlock()
	for _, h := range all {
		_ = h.server.Close()
		<-h.ended
	}
}

// enter counts a stream's handler. Its connection may end before it does, so what
// waits for handlers waits for it, too. It returns the how many-th of the connection it
// is, and whether it may run.
func (s *Server) enter(c *conn) (nth int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.idle:
		return 0, false
	default:
		s.streams++
		c.served++ // whose goroutine has ended
		return c.served, true
	}
}

func (s *Server) leaveStream() {
	s.mu.Lock()
	s.streams--
	s.settle()
	s.mu.Unlock()
}
