package server

import (
	"errors"
	"maps"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"postern/h1"
	"postern/transport"
)

// Metrics are counts since the Server was made, taken while it runs: they need not
// agree with each other to the last request.
type Metrics struct {
	Stats

	Accepted     uint64         // connections
	TurnedAway   uint64         // connections past MaxConns: answered with 503, or closed at once
	AcceptErrors uint64         // accepts that failed and were tried again
	Panics       uint64         // of handlers, of what makes bodies, and of Config.RenderError
	Refused      map[int]uint64 // requests that the engine refused or gave up, by the status that says why
	QueueFull    uint64         // of them, those that found no place in the queue
	Timeouts     Timeouts

	// The following are zero without Config.Metrics.

	Methods    map[string]uint64 // requests by method; "" are others, and what was none
	Statuses   [6]uint64         // responses by the first digit of their status; 0: there was none
	BytesIn    uint64            // received, of HTTP/1: behind TLS
	BytesOut   uint64            // handed over for writing, of HTTP/1
	Durations  Histogram         // from a request's head to the end of making its response
	QueueWaits Histogram         // of requests that had to wait for a slot of MaxInFlight
}

// Timeouts counts, by what was waited for, what took too long.
type Timeouts struct {
	Handshake uint64 // HandshakeTimeout
	FirstByte uint64 // FirstByteTimeout
	Head      uint64 // HeadTimeout
	Body      uint64 // BodyRate
	Handler   uint64 // HandlerTimeout
	Idle      uint64 // IdleTimeout
	Write     uint64 // WriteTimeout
	Queue     uint64 // QueueTimeout
}

// Histogram counts durations. Counts[i] are those up to Bounds[i] and above the bound
// before; the last, which has no bound, are the rest.
type Histogram struct {
	Bounds []time.Duration
	Counts []uint64
	Sum    time.Duration
}

// bounds are those of all histograms.
var bounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// Metrics returns the counts as they are now.
func (s *Server) Metrics() Metrics {
	m := Metrics{Stats: s.Stats(), Methods: make(map[string]uint64)}
	m.Durations, m.QueueWaits = newHistogram(), newHistogram()
	n := &s.counts
	n.waits.addTo(&m.QueueWaits)
	m.Panics, m.QueueFull = n.panics.Load(), n.queueFull.Load()
	m.Timeouts = Timeouts{
		Handshake: n.handshake.Load(),
		FirstByte: n.firstByte.Load(),
		Head:      n.head.Load(),
		Body:      n.body.Load(),
		Handler:   n.handler.Load(),
		Idle:      n.idle.Load(),
		Write:     n.write.Load(),
		Queue:     n.queue.Load(),
	}
	n.mu.Lock()
	m.Refused = maps.Clone(n.refused)
	n.mu.Unlock()
	for i := range s.tallies {
		s.tallies[i].addTo(&m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m.Accepted, m.TurnedAway, m.AcceptErrors = n.accepted, n.turnedAway, n.acceptErrors
	for l := range s.listeners {
		m.AcceptErrors += l.acceptErrors()
	}
	return m
}

func (l *listener) acceptErrors() uint64 {
	if c, ok := l.Listener.Listener.(interface{ AcceptErrors() uint64 }); ok {
		return c.AcceptErrors()
	}
	return 0
}

// counts are of what is rare enough to be counted always, in one place.
type counts struct {
	accepted, turnedAway uint64 // guarded by Server.mu, as the next
	acceptErrors         uint64 // of listeners that are gone

	panics, queueFull                                             atomic.Uint64
	handshake, firstByte, head, body, handler, idle, write, queue atomic.Uint64

	waits histogram

	mu      sync.Mutex
	refused map[int]uint64 // by status
}

// turnAway counts a request that did not come to its handler.
func (n *counts) turnAway(err error) {
	switch err {
	case errQueueFull:
		n.queueFull.Add(1)
	case errQueueTimeout:
		n.queue.Add(1)
	}
}

func (n *counts) refuse(status int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refused == nil {
		n.refused = make(map[int]uint64)
	}
	n.refused[status]++
}

// tally is what is counted for every request. There are several, each for its share
// of the connections: a number that every processor changes is slow to change.
type tally struct {
	in, out  atomic.Uint64
	methods  [h1.MethodPatch + 1]atomic.Uint64
	statuses [6]atomic.Uint64
	took     histogram
	_        [64]byte // so that no two share a cache line
}

// newTallies returns one for each processor, or so.
func newTallies() []tally { return make([]tally, min(runtime.GOMAXPROCS(0), 16)) }

func (t *tally) add(m h1.Method, status int, took time.Duration) {
	t.methods[m].Add(1)
	t.statuses[status/100%6].Add(1)
	t.took.add(took)
}

func (t *tally) addTo(m *Metrics) {
	m.BytesIn += t.in.Load()
	m.BytesOut += t.out.Load()
	for i := range t.methods {
		if n := t.methods[i].Load(); n > 0 {
			m.Methods[h1.Method(i).String()] += n
		}
	}
	for i := range t.statuses {
		m.Statuses[i] += t.statuses[i].Load()
	}
	t.took.addTo(&m.Durations)
}

// A histogram is safe for concurrent use.
type histogram struct {
	counts [len(bounds) + 1]atomic.Uint64
	sum    atomic.Int64
}

func newHistogram() Histogram {
	return Histogram{Bounds: bounds[:len(bounds):len(bounds)], Counts: make([]uint64, len(bounds)+1)}
}

func (h *histogram) add(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

func (h *histogram) addTo(to *Histogram) {
	for i := range h.counts {
		to.Counts[i] += h.counts[i].Load()
	}
	to.Sum += time.Duration(h.sum.Load())
}

// tallyOf returns the tally of the next connection, or nil if there is none.
func (s *Server) tallyOf() *tally {
	if s.tallies == nil {
		return nil
	}
	return &s.tallies[s.dealt.Add(1)%uint64(len(s.tallies))]
}

// Step implements transport.Pump: n new bytes stand in Buffer, none if n is 0, and
// -1 says that no more will come. What it returns is to be written before anything
// else is done, and is valid until the next call.
func (c *conn) Step(n int) (out []byte, next transport.Next) {
	out, next = c.step(n)
	c.received(n)
	c.sent(len(out))
	return out, next
}

// received counts n bytes that came.
func (c *conn) received(n int) {
	if c.tally != nil && n > 0 {
		c.tally.in.Add(uint64(n))
	}
}

// sent counts n bytes that are handed over for writing.
func (c *conn) sent(n int) {
	if c.tally != nil && n > 0 {
		c.tally.out.Add(uint64(n))
	}
}

// count counts the exchange, which is at its end.
func (c *conn) count() {
	c.countBody(&c.req.body)
	if c.tally == nil {
		return
	}
	m := h1.MethodOther
	if c.req.head != nil {
		m = c.req.head.Method()
	}
	c.tally.add(m, c.status, c.srv.born.Add(c.now).Sub(c.began))
}

// countBody counts a body that was refused.
func (c *conn) countBody(b *requestBody) {
	if b.failed != nil && b.failed != errLate {
		c.srv.counts.refuse(statusOf(b.failed))
	}
}

// countWrite counts a write that has failed with err, if it took too long.
func (c *conn) countWrite(err error) {
	if c.writeOwn.Load() == nil && errors.Is(err, os.ErrDeadlineExceeded) {
		c.srv.counts.write.Add(1)
	}
}
