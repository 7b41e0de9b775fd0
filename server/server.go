package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"postern/h1"
	"postern/transport"
)

// Server answers requests from any number of listeners. Its methods are safe for
// concurrent use.
type Server struct {
	handler Handler
	cfg     Config
	limits  Limits // resolved
	records *accessLog

	base   context.Context // parent of every request's context
	cancel context.CancelFunc

	leaving   context.Context // of base, and ended when draining begins
	leave     context.CancelFunc
	draining  atomic.Bool // Shutdown or Close has begun
	requests  atomic.Uint64
	gate      *gate // for listeners without one of their own; nil: no limit
	inFlight  atomic.Int64
	queued    atomic.Int64
	unshaken  atomic.Uint64 // TLS handshakes that failed
	common    atomic.Pointer[common]
	born      time.Time
	workers   workers
	lingering lingering
	clock     clock
	counts    counts
	tallies   []tally                     // nil unless everything is counted
	dealt     atomic.Uint64               // of tallies
	timed     bool                        // somebody wants to know how long an exchange takes
	std       atomic.Pointer[http.Server] // see Server.http

	mu        sync.Mutex
	closed    bool // Close has begun
	listeners map[*listener]struct{}
	conns     map[*conn]struct{}
	streams   int           // handlers of HTTP/2 that run
	http2s    []*http2      // of all listeners
	idle      chan struct{} // closed when draining and no connection is left
}

// Listener is a net.Listener with what is its own; zero fields are the Server's.
type Listener struct {
	net.Listener
	Name    string // in Request.Listener and in access records; "": the address
	Handler Handler
	Limits  Limits
}

// listener is a Listener that is being served.
type listener struct {
	Listener
	srv    *Server
	limits Limits // resolved
	head   h1.Config
	gate   *gate  // nil: no limit
	conns  int    // guarded by Server.mu
	h2     *http2 // nil until needed; guarded by Server.mu

	once sync.Once // closes
}

// Close closes the listener, once.
func (l *listener) Close() (err error) {
	l.once.Do(func() { err = l.Listener.Close() })
	return err
}

// Stats are counts since the Server was made.
type Stats struct {
	Conns          int    // open now
	Requests       uint64 // heads received complete
	DroppedRecords uint64 // access records lost to a full queue
	BadHandshakes  uint64 // TLS handshakes that failed or took too long
	InFlight       int    // requests worked on now; counted with Limits.MaxInFlight or Config.Metrics
	Queued         int    // requests that wait for one now
}

// New makes a Server that answers with h where a Listener has no handler.
func New(h Handler, cfg Config) *Server {
	if cfg.RenderError == nil {
		cfg.RenderError = renderError
	}
	inherit(&cfg.ShutdownGrace, 10*time.Second)
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Server{
		handler:   h,
		cfg:       cfg,
		limits:    cfg.Limits.or(defaults),
		listeners: make(map[*listener]struct{}),
		conns:     make(map[*conn]struct{}),
		idle:      make(chan struct{}),
		born:      time.Now(),
		clock:     clock{shortest: overTimeout},
	}
	if _, err := (h1.FieldLines{}).With("Server", cfg.ServerName); err != nil {
		cfg.Log.Error("server: ServerName left out", "error", err, "value", cfg.ServerName)
		s.cfg.ServerName = ""
	}
	s.gate = newGate(s.limits.MaxInFlight)
	s.base, s.cancel = context.WithCancel(context.Background())
	s.leaving, s.leave = context.WithCancel(s.base)
	s.timed = cfg.AccessLog != nil || cfg.Metrics
	if cfg.Metrics {
		s.tallies = newTallies()
	}
	if cfg.AccessLog != nil {
		s.records = newAccessLog(cfg.AccessLog)
	}
	return s
}

// Serve accepts connections from ln and answers them until Shutdown or Close,
// when it returns ErrServerClosed, or until accepting fails for good. It closes
// ln, and may be called for several listeners at a time; a Listener value brings
// its own name, handler and limits.
func (s *Server) Serve(ln net.Listener) error {
	l := &listener{srv: s}
	switch v := ln.(type) {
	case Listener:
		l.Listener = v
	case *Listener:
		l.Listener = *v
	default:
		l.Listener.Listener = ln
	}
	if _, patient := l.Listener.Listener.(interface{ AcceptErrors() uint64 }); !patient {
		l.Listener.Listener = transport.NewListener(l.Listener.Listener)
	}
	if l.Handler == nil {
		l.Handler = s.handler
	}
	l.limits = l.Limits.or(s.limits)
	l.head = h1.Config{MaxTarget: l.limits.MaxTarget, MaxHead: l.limits.MaxHead, MaxFields: l.limits.MaxFields}
	if l.gate = s.gate; l.Limits.MaxInFlight != 0 {
		l.gate = newGate(l.Limits.MaxInFlight)
	}
	defer l.Close()
	if !s.track(l) {
		return ErrServerClosed
	}
	defer s.untrack(l)
	if addr := l.Addr(); l.Name == "" && addr != nil { // some listeners of tests have none
		l.Name = addr.String()
	}
	if l.Handler == nil {
		return fmt.Errorf("server: listener %s has no handler", l.Name)
	}
	return l.accept()
}

func (l *listener) accept() error {
	for {
		nc, err := l.Listener.Accept()
		switch {
		case err == nil:
			l.start(nc)
		case l.srv.draining.Load():
			return ErrServerClosed
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("server: listener %s: %w", l.Name, err)
		default:
			return fmt.Errorf("server: accept on %s: %w", l.Name, err)
		}
	}
}

// start serves a connection on a goroutine of its own, which ends with the
// connection; Shutdown and Close see to that. A connection past MaxConns is still
// answered, with 503, unless even of those there are too many.
func (l *listener) start(nc net.Conn) {
	c := newConn(l, nc)
	s := l.srv
	s.mu.Lock()
	s.counts.accepted++
	if m := l.limits.MaxConns; m > 0 && l.conns >= m {
		s.counts.turnedAway++
		c.over = true
		c.until = s.age() + overTimeout
		c.expect(c.until, alarmEnd)
	}
	if s.closed || c.over && l.conns >= l.limits.MaxConns+l.limits.MaxConns/8+16 {
		s.mu.Unlock()
		_ = nc.Close() // nothing was said
		return
	}
	if s.draining.Load() {
		c.state.Store(stateDrain)
	}
	l.conns++
	s.conns[c] = struct{}{}
	if c.pumper != nil {
		s.wind()
	}
	s.mu.Unlock()
	s.connState(nc, http.StateNew)
	if c.pumper == nil {
		go c.serve()
		return
	}
	s.workers.serve(c)
}

// overTimeout is how long a connection that will be answered with 503 may take to
// ask.
const overTimeout = time.Second

// forget is the end of a connection.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	c.lst.conns--
	delete(s.conns, c)
	s.settle()
	s.mu.Unlock()
}

func (s *Server) track(l *listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.listeners[l] = struct{}{}
	if wait := l.limits.shortestWait(); wait < s.clock.shortest {
		s.hurry(wait)
	}
	return true
}

func (s *Server) untrack(l *listener) {
	s.mu.Lock()
	delete(s.listeners, l)
	s.counts.acceptErrors += l.acceptErrors()
	s.settle()
	s.mu.Unlock()
}

// settle closes idle once nothing is left to wait for; s.mu is held.
func (s *Server) settle() {
	if !s.draining.Load() || len(s.listeners)+len(s.conns)+s.streams > 0 {
		return
	}
	select {
	case <-s.idle:
	default:
		close(s.idle)
	}
}

// backlogGrace is how long a listener goes on accepting once Shutdown has begun:
// clients whose connection is complete in the kernel's queue get their answer.
const backlogGrace = 10 * time.Millisecond

func (l *listener) stop() {
	if d, ok := l.Listener.Listener.(interface{ SetDeadline(time.Time) error }); !ok || d.SetDeadline(time.Now().Add(backlogGrace)) != nil {
		_ = l.Close() // Serve returns either way
	}
}

// Shutdown ends the server gracefully: it stops listening, closes idle
// connections, lets every exchange that has begun come to its end, telling its
// client that the connection closes, and returns nil when none is left. Those that
// would never end learn of it by Request.StreamContext. When ctx
// is done first it cuts the rest, without waiting for handlers, and returns ctx's
// error. Later calls wait too.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining.Store(true)
	s.leave()
	for l := range s.listeners {
		l.stop()
	}
	for c := range s.conns {
		c.wake()
	}
	stopHTTP2 := s.shutdownHTTP2(ctx)
	defer stopHTTP2()
	s.settle()
	s.mu.Unlock()
	if hs := s.shared(); hs != nil {
		_ = hs.Shutdown(ctx) // it serves nobody: this calls what was registered
	}
	select {
	case <-s.idle:
		s.end()
		return nil
	case <-ctx.Done():
		go s.Close() // ends when the last handler has returned
		return ctx.Err()
	}
}

// Close ends the server at once: it stops listening, cancels every request's
// context and cuts every connection. It waits for handlers to return.
func (s *Server) Close() error {
	s.mu.Lock()
	s.draining.Store(true)
	s.closed = true
	s.cancel()
	for l := range s.listeners {
		_ = l.Close() // Serve returns either way
	}
	conns := slices.Collect(maps.Keys(s.conns))
	s.settle()
	s.mu.Unlock()
	for _, c := range conns {
		_ = c.nc.Close() // what its goroutine does next fails
	}
	<-s.idle
	s.end()
	return nil
}

// end releases what outlives connections.
func (s *Server) end() {
	s.workers.dismiss(true)
	s.lingering.end()
	s.closeHTTP2()
	if s.records != nil {
		s.records.close()
	}
}

// Stats returns the counts as they are now.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Conns: len(s.conns), Requests: s.requests.Load(), BadHandshakes: s.unshaken.Load(),
		InFlight: int(s.inFlight.Load()), Queued: int(s.queued.Load())}
	if s.records != nil {
		st.DroppedRecords = s.records.dropped.Load()
	}
	return st
}
