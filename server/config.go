package server

import (
	"log/slog"
	"net/http"
	"time"
)

// Config says how a Server behaves. The zero value is the default in every field.
type Config struct {
	Limits Limits

	// RenderError makes the response that a client reads when a request is
	// refused or a handler has failed. r is nil if there was no complete request, and
	// when a handler that took too long has it still: 504.
	// Its status is set and its connection closed as the fault demands. nil: the
	// status in words and what was wrong with the input, as text/plain.
	RenderError func(r *Request, status int, err error) Response

	// ServerName is the value of the Server field; "": no such field. One that is no
	// field value is logged and left out.
	ServerName string

	// RefuseHTTP10 answers HTTP/1.0 requests with 505.
	RefuseHTTP10 bool

	// AllowConnect lets handlers see CONNECT, whose target is an authority and has no
	// path; without it the answer is 501. A handler that takes it answers with a
	// Drive: Exchange.Head with a status of 2xx, and Exchange.Hijack.
	AllowConnect bool

	// HTTP is the value of http.ServerContextKey for handlers made by HTTP, where the
	// likes of httputil.ReverseProxy look for it. Its ConnState is called as package
	// net/http calls it, and its RegisterOnShutdown functions run when Shutdown
	// begins; nothing else of it is used. nil: one of the Server's own.
	HTTP *http.Server

	// CancelOnHalfClose cancels the context of a request whose client has finished
	// sending, as net/http does. Such a client may still wait for its answer; net/http
	// handlers, see HTTP, are treated so in any case.
	CancelOnHalfClose bool

	// ShutdownGrace is how long Run lets exchanges go on that have begun. Default
	// 10 s; negative: as long as they take.
	ShutdownGrace time.Duration

	// Log receives what an operator should know: panics, handlers' errors, accept
	// errors. nil: slog.Default().
	Log *slog.Logger

	// Metrics counts what costs a little for every request, and measures how long
	// they take: see Metrics.
	Metrics bool

	// AccessLog receives a record for each exchange, off the connection's path: a
	// record that finds the queue full is dropped and counted in Stats. nil: none.
	AccessLog *slog.Logger
}

// Limits bound what a client may use. In every field zero means the default named
// there, or what the Server's Config says if the Limits belong to a Listener;
// negative means none. Over HTTP/2, which net/http speaks, a request is a stream, and
// FirstByteTimeout, HeadTimeout and MaxUnread are without effect; docs/design.md has
// what else is different.
type Limits struct {
	MaxTarget   int   // bytes of request-target; default 8192; beyond: 414
	MaxHead     int   // bytes of request head; default 65536; beyond: 431
	MaxFields   int   // field lines; default 100; beyond: 431
	MaxBody     int64 // bytes of request body, unless Request.SetMaxBody; default 8 MiB; beyond: 413
	MaxUnread   int64 // bytes of unread body that are read to keep the connection; default 256 KiB
	MaxConns    int   // connections open at a time on a listener; default 10,000; beyond: 503
	MaxRequests int   // requests on a connection; default no limit; the last is told close

	// MaxInFlight is how many requests have their handler run, or their response's
	// body made, at a time; default no limit. Listeners that leave it at zero share
	// the Server's number, one that sets it has its own. Connections that have left
	// the server (Hijack, Upgrade) do not count. A request beyond it waits for its
	// turn, in order, as one of MaxQueued (default 128; negative: none) and for
	// QueueTimeout (default 2 s; negative: as long as it takes); one that may not, or
	// not any more, gets 503 with Retry-After, and the connection goes on.
	MaxInFlight  int
	MaxQueued    int
	QueueTimeout time.Duration

	HandshakeTimeout time.Duration // for the handshake of TLS, from accept; default 5 s; then a close
	FirstByteTimeout time.Duration // from accept, or a handshake, to the first byte; default 10 s; then a silent close
	HeadTimeout      time.Duration // from a head's first byte to its last; default 10 s; then 408
	IdleTimeout      time.Duration // between requests; default 60 s; then a silent close
	WriteTimeout     time.Duration // without progress in writing, at least; default 30 s; then a reset
	BodyRate         int64         // bytes per second that a body must bring, on average over BodyWindow; default 1024; else 408
	BodyWindow       time.Duration // default 10 s

	// HandlerTimeout is how long a handler may take until it returns, and a Drive
	// answer until its head; default none. Then the client gets 504 and the
	// connection closes, the request's context is cancelled, and what the handler
	// returns in the end is dropped. The handler itself goes on, and the connection
	// is counted until it returns.
	HandlerTimeout time.Duration
}

var defaults = Limits{
	MaxTarget:        8 << 10,
	MaxHead:          64 << 10,
	MaxFields:        100,
	MaxBody:          8 << 20,
	MaxUnread:        256 << 10,
	MaxConns:         10_000,
	MaxRequests:      -1,
	MaxInFlight:      -1,
	MaxQueued:        128,
	QueueTimeout:     2 * time.Second,
	HandshakeTimeout: 5 * time.Second,
	FirstByteTimeout: 10 * time.Second,
	HeadTimeout:      10 * time.Second,
	IdleTimeout:      60 * time.Second,
	WriteTimeout:     30 * time.Second,
	BodyRate:         1 << 10,
	BodyWindow:       10 * time.Second,
	HandlerTimeout:   -1,
}

// or fills what l leaves at zero from d.
func (l Limits) or(d Limits) Limits {
	inherit(&l.MaxTarget, d.MaxTarget)
	inherit(&l.MaxHead, d.MaxHead)
	inherit(&l.MaxFields, d.MaxFields)
	inherit(&l.MaxBody, d.MaxBody)
	inherit(&l.MaxUnread, d.MaxUnread)
	inherit(&l.MaxConns, d.MaxConns)
	inherit(&l.MaxRequests, d.MaxRequests)
	inherit(&l.MaxInFlight, d.MaxInFlight)
	inherit(&l.MaxQueued, d.MaxQueued)
	inherit(&l.QueueTimeout, d.QueueTimeout)
	inherit(&l.HandshakeTimeout, d.HandshakeTimeout)
	inherit(&l.FirstByteTimeout, d.FirstByteTimeout)
	inherit(&l.HeadTimeout, d.HeadTimeout)
	inherit(&l.IdleTimeout, d.IdleTimeout)
	inherit(&l.WriteTimeout, d.WriteTimeout)
	inherit(&l.BodyRate, d.BodyRate)
	inherit(&l.BodyWindow, d.BodyWindow)
	inherit(&l.HandlerTimeout, d.HandlerTimeout)
	return l
}

func inherit[T int | int64 | time.Duration](v *T, from T) {
	if *v == 0 {
		*v = from
	}
}
