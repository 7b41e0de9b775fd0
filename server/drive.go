package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Drive answers with what run does, step by step: interim responses, head,
// content, flushes, trailer fields, or taking the connection over. It is for
// proxies and for what is built on pushing bytes; HTTP, the adapter for net/http
// handlers, is a Drive.
//
// The engine calls run on the connection's goroutine once the handler has
// returned and all earlier answers are written. If run returns without a head,
// the response is 200 without content; with an error instead, it is what Err
// makes of it. An error or a panic after the head breaks the response off: the
// client sees it truncated. With ErrAbort nothing is written and nothing logged.
//
// Field lines that a middleware adds to the Response stand in the head before
// those of run, and its Content-Type replaces theirs; Status is not looked at.
func Drive(run func(*Exchange) error) Response {
	return Response{Body: Body{kind: bodyDrive, source: run}}
}

// ErrAbort ends an exchange without a word: a handler, a stream or a Drive panics
// with it, or the latter two return it. What there is of the response is broken
// off, and nothing is logged. It is http.ErrAbortHandler.
var ErrAbort = http.ErrAbortHandler

var (
	errDriven        = errors.New("server: a Drive answer needs a client")
	errHeadSent      = errors.New("server: the response has begun already")
	errExchangeEnded = errors.New("server: the exchange has ended")
)

// Exchange is one request and its response, as Drive hands it over. It is valid
// until run returns.
//
// All methods but Request may be called from several goroutines. The request's
// body may be read in one goroutine while another writes: neither waits for the
// other's I/O. Such a goroutine must have ended when run returns; a read that is
// still going on is waited for.
type Exchange struct {
	req *Request
	to  carrier

	mu    sync.Mutex // who writes; a carrier's locks come after it
	state exchangeState
}

type exchangeState uint8

const (
	exchangeNew exchangeState = iota
	exchangeBegun
	exchangeSwitched // the head has said so; Hijack is all that is left
	exchangeHijacked
	exchangeLate // 504 was sent instead
	exchangeEnded
)

// carrier is what an Exchange stands on: a connection of ours, or net/http. Its
// methods are called with Exchange.mu held.
type carrier interface {
	info(status int, f Fields) error
	head(status int, f Fields) (switched bool, err error)
	write(p []byte) (int, error)
	sendFile(r io.Reader) (n int64, done bool, err error)
	flush() error
	trailer(name, value string) error
	hijack() (net.Conn, []byte, error)
	setReadDeadline(t time.Time) error
	setWriteDeadline(t time.Time) error
}

// Request returns the request. It is not safe for concurrent use, but its body may
// be read in a goroutine of its own.
func (x *Exchange) Request() *Request { return x.req }

// Info sends an interim response at once: any status from 100 to 199 but 101, as
// often as need be, before Head (RFC 9110 15.2). 103 carries Link fields, say. A
// client of HTTP/1.0 gets none, which is no error.
func (x *Exchange) Info(status int, f Fields) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if status < 100 || status > 199 || status == 101 {
		return fmt.Errorf("server: %d is no interim status", status)
	}
	if err := x.is(exchangeNew); err != nil {
		return err
	}
	return x.to.info(status, f)
}

// Head begins the final response. A Content-Length among the fields says how much
// will be written; without it the content is chunked, or ends with the connection
// for a client of HTTP/1.0. Date and Server are added if missing. An error, such as
// that of a field that no response may have, leaves everything as it was, and Head
// may be called again.
//
// 101, to a client that offered the protocol of the Upgrade field, and 2xx to
// CONNECT switch protocols: Hijack comes next.
func (x *Exchange) Head(status int, f Fields) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.begin(status, f)
}

func (x *Exchange) begin(status int, f Fields) error {
	if status < 200 && status != 101 || status > 999 {
		return fmt.Errorf("server: %d is no final status", status)
	}
	if err := x.is(exchangeNew); err != nil {
		return err
	}
	switched, err := x.to.head(status, f)
	switch {
	case err != nil:
		return err
	case switched:
		x.state = exchangeSwitched
	default:
		x.state = exchangeBegun
	}
	return nil
}

// Write writes content, after Head(200, nil) if there was no head yet. It is
// collected, and sent in chunks of 4 KiB or more; Flush sends it at once. p is not
// kept. In answer to HEAD the content is counted and not sent. More than
// Content-Length announced is an error, and so is content where the status has
// none; nothing of p is written then.
func (x *Exchange) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.begun(); err != nil {
		return 0, err
	}
	return x.to.write(p)
}

// ReadFrom writes what r yields until EOF. If Content-Length was given, and r is a
// file or an io.LimitedReader of one, its bytes do not pass through the process
// where the system can do without (sendfile).
func (x *Exchange) ReadFrom(r io.Reader) (n int64, err error) {
	x.mu.Lock()
	err = x.begun()
	done := false
	if err == nil {
		n, done, err = x.to.sendFile(r)
	}
	x.mu.Unlock()
	if done || err != nil {
		return n, err
	}
	buf := pieces.Get().(*[]byte)
	defer pieces.Put(buf)
	m, err := io.CopyBuffer(struct{ io.Writer }{x}, struct{ io.Reader }{r}, *buf)
	return n + m, err
}

// Flush sends what was written, and the head, at once.
func (x *Exchange) Flush() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.begun(); err != nil {
		return err
	}
	return x.to.flush()
}

// Trailer adds a field line to the trailer section, which is sent when run has
// returned. Fields that would come too late there are refused (RFC 9110 6.5.1). The
// head may announce it in its Trailer field. Where the content is not chunked there
// is no place for it, and it is left out.
func (x *Exchange) Trailer(name, value string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.state > exchangeBegun {
		return x.is(exchangeBegun)
	}
	return x.to.trailer(name, value)
}

// Hijack takes the connection out of the server: it is the caller's to use and to
// close, without deadlines, and Shutdown and Close know nothing of it. early is
// what the client has sent already behind the request, or behind what was read of
// its body. What was written so far is sent before. Afterwards every other method
// fails, and a read of the body that needs the connection too.
//
// No read of the body may be going on.
func (x *Exchange) Hijack() (nc net.Conn, early []byte, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.state == exchangeHijacked || x.state >= exchangeLate {
		return nil, nil, x.is(exchangeNew)
	}
	if nc, early, err = x.to.hijack(); err == nil {
		x.state = exchangeHijacked
	}
	return nc, early, err
}

// SetReadDeadline makes reads of the body fail from t on, for this exchange and
// instead of Limits.BodyRate; the zero time means never.
func (x *Exchange) SetReadDeadline(t time.Time) error { return x.to.setReadDeadline(t) }

// SetWriteDeadline makes writes fail from t on, for this exchange and instead of
// Limits.WriteTimeout; the zero time means never. After such a failure nothing more
// can be written.
func (x *Exchange) SetWriteDeadline(t time.Time) error { return x.to.setWriteDeadline(t) }

// begun begins the response if that was not done.
func (x *Exchange) begun() error {
	if x.state == exchangeNew {
		return x.begin(200, nil)
	}
	return x.is(exchangeBegun)
}

// is returns why the state is not the one that a method needs.
func (x *Exchange) is(want exchangeState) error {
	switch {
	case x.state == want:
		return nil
	case x.state == exchangeHijacked || x.state == exchangeSwitched:
		return http.ErrHijacked
	case x.state == exchangeLate:
		return ErrHandlerTimeout
	case x.state == exchangeEnded:
		return errExchangeEnded
	}
	return errHeadSent
}
