package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// httpWriter is the http.ResponseWriter, and every optional interface that one
// of package net/http has for HTTP/1. It does as that one does, also where this
// is odd: what it must do is what handlers were written against.
//
// Content goes through buf, which holds back the first 2 KiB: a response that is
// shorter and never flushed has a Content-Length and a type by its content. What
// leaves buf goes through httpContent to the Exchange.
type httpWriter struct {
	x    *Exchange
	d    *driven
	req  *http.Request
	body *httpBody // nil if there is none
	buf  *bufio.Writer

	isHead     bool // the request's method, which handlers may change
	header     http.Header
	sent       http.Header // what header was at WriteHeader
	touched    bool        // Header was called
	status     int         // 0: WriteHeader was not called
	length     int64       // Content-Length, or -1
	written    int64
	begun      bool  // the head is made
	failed     error // why it could not be
	trailers   []string
	fullDuplex bool
	done       atomic.Bool // the handler has returned
	hijacked   atomic.Bool

	notifyOnce sync.Once
	notify     chan bool
	unnotify   func() bool
}

var (
	_ http.Hijacker   = (*httpWriter)(nil)
	_ io.ReaderFrom   = (*httpWriter)(nil)
	_ io.StringWriter = (*httpWriter)(nil)
	_ http.Flusher    = (*httpWriter)(nil)
)

// heldBack is how many bytes of content are collected before the head is made.
const heldBack = 2 << 10

var httpBuffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, heldBack) }}

func newHTTPWriter(x *Exchange, d *driven, req *http.Request) *httpWriter {
	w := &httpWriter{x: x, d: d, req: req, isHead: req.Method == "HEAD", header: make(http.Header), length: -1}
	w.buf = httpBuffers.Get().(*bufio.Writer)
	w.buf.Reset((*httpContent)(w))
	return w
}

// release ends what outlives the handler. Nobody reads or writes any more.
func (w *httpWriter) release() {
	w.done.Store(true)
	if w.body != nil {
		w.body.release()
	}
	w.buf.Reset(nil)
	httpBuffers.Put(w.buf)
	w.buf = nil
	if w.req.MultipartForm != nil {
		_ = w.req.MultipartForm.RemoveAll() // temporary files
	}
}

// Header implements http.ResponseWriter.
func (w *httpWriter) Header() http.Header {
	if w.sent == nil && w.status != 0 && !w.begun {
		w.sent = w.header.Clone() // WriteHeader was called before Header
	}
	w.touched = true
	return w.header
}

// WriteHeader implements http.ResponseWriter.
func (w *httpWriter) WriteHeader(status int) {
	switch {
	case w.hijacked.Load():
		w.warn("http: response.WriteHeader on hijacked connection")
		return
	case w.status != 0:
		w.warn("http: superfluous response.WriteHeader call")
		return
	case status < 100 || status > 999:
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	case status < 200 && status != 101:
		f := w.fields(w.header, func(key string) bool {
			return key == "Content-Length" || key == "Transfer-Encoding" || key == "Connection"
		})
		if err := w.x.Info(status, f); err != nil {
			w.warn("http: interim response: " + err.Error())
		}
		return
	}
	w.status = status
	if w.touched {
		w.sent = w.header.Clone()
	}
	if s := first(w.header["Content-Length"]); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 {
			w.warn(fmt.Sprintf("http: invalid Content-Length of %q", s))
			w.header.Del("Content-Length")
			return
		}
		w.length = n
	}
}

// warn logs a mistake of the handler's, and where it was made.
func (w *httpWriter) warn(what string) {
	args := []any{"target", w.req.RequestURI}
	pc := make([]uintptr, 16)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	for more := true; more; {
		var f runtime.Frame
		if f, more = frames.Next(); !strings.HasPrefix(f.Function, "postern/server.(*http") {
			args = append(args, "caller", f.Function, "line", f.Line)
			break
		}
	}
	w.d.c.srv.cfg.Log.Log(context.Background(), slog.LevelWarn, what, args...)
}

// Write implements http.ResponseWriter.
func (w *httpWriter) Write(p []byte) (int, error) {
	if err := w.may(len(p)); err != nil || len(p) == 0 {
		return 0, err
	}
	return w.buf.Write(p)
}

// WriteString implements io.StringWriter.
func (w *httpWriter) WriteString(s string) (int, error) {
	if err := w.may(len(s)); err != nil || len(s) == 0 {
		return 0, err
	}
	return w.buf.WriteString(s)
}

// may counts n bytes of content, or says why there cannot be any.
func (w *httpWriter) may(n int) error {
	if w.hijacked.Load() {
		if n > 0 {
			w.warn("http: response.Write on hijacked connection")
		}
		return http.ErrHijacked
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if n == 0 {
		return nil
	}
	if !bodyAllowed(w.status) {
		return http.ErrBodyNotAllowed
	}
	if w.written += int64(n); w.length >= 0 && w.written > w.length {
		return http.ErrContentLength
	}
	return nil
}

// bodyAllowed reports whether a response with that status may have content, for
// package net/http, which does not know of 205.
func bodyAllowed(status int) bool { return status >= 200 && status != 204 && status != 304 }

// httpContent is the writer behind httpWriter.buf.
type httpContent httpWriter

// Write implements io.Writer.
func (hc *httpContent) Write(p []byte) (int, error) {
	w := (*httpWriter)(hc)
	if err := w.begin(p); err != nil {
		return 0, err
	}
	if w.isHead {
		return len(p), nil
	}
	return w.x.Write(p)
}

// ReadFrom implements io.ReaderFrom.
func (w *httpWriter) ReadFrom(src io.Reader) (n int64, err error) {
	plain := struct{ io.Writer }{w}
	if !w.begun { // the source may fail before there is a response, and its type may have to be guessed
		n, err = io.CopyN(plain, src, 512)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	if err = w.buf.Flush(); err == nil {
		err = w.begin(nil)
	}
	if err != nil {
		return n, err
	}
	if w.length < 0 || w.isHead || !bodyAllowed(w.status) {
		m, err := io.Copy(plain, src)
		return n + m, err
	}
	m, err := w.x.ReadFrom(src)
	w.written += m
	return n + m, err
}

// Flush implements http.Flusher.
func (w *httpWriter) Flush() { _ = w.FlushError() }

// FlushError is Flush for http.ResponseController.
func (w *httpWriter) FlushError() error {
	if w.hijacked.Load() {
		return http.ErrHijacked
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	err := w.buf.Flush()
	if err == nil {
		err = w.begin(nil)
	}
	if err == nil {
		err = w.x.Flush()
	}
	return err
}

// Hijack implements http.Hijacker.
func (w *httpWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	switch {
	case w.done.Load():
		panic("net/http: Hijack called after ServeHTTP finished")
	case w.status != 0:
		if err := w.begin(nil); err != nil { // a 101, say
			return nil, nil, err
		}
	}
	nc, early, err := w.x.Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.hijacked.Store(true)
	r := bufio.NewReader(nc)
	if len(early) > 0 {
		r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), nc), max(4096, len(early)))
		_, _ = r.Peek(len(early)) // fills it, and cannot fail
	}
	return nc, bufio.NewReadWriter(r, bufio.NewWriter(nc)), nil
}

// CloseNotify implements the deprecated http.CloseNotifier.
func (w *httpWriter) CloseNotify() <-chan bool {
	if w.done.Load() {
		panic("net/http: CloseNotify called after ServeHTTP finished")
	}
	w.notifyOnce.Do(func() {
		c := make(chan bool, 1)
		w.notify = c
		w.unnotify = context.AfterFunc(w.req.Context(), func() { c <- true })
	})
	return w.notify
}

// stopNotify keeps the context's end from being taken for the client's.
func (w *httpWriter) stopNotify() {
	w.notifyOnce.Do(func() {})
	if w.unnotify != nil {
		w.unnotify()
	}
}

// SetReadDeadline is for http.ResponseController.
func (w *httpWriter) SetReadDeadline(t time.Time) error { return w.x.SetReadDeadline(t) }

// SetWriteDeadline is for http.ResponseController.
func (w *httpWriter) SetWriteDeadline(t time.Time) error { return w.x.SetWriteDeadline(t) }

// EnableFullDuplex is for http.ResponseController.
func (w *httpWriter) EnableFullDuplex() error {
	w.fullDuplex = true
	return nil
}

// finish ends the response once the handler has returned.
func (w *httpWriter) finish() error {
	w.done.Store(true)
	if w.hijacked.Load() {
		return nil
	}
	if w.body != nil && !w.x.req.head.KeepAlive() {
		w.body.leave(w.x)
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	err := w.buf.Flush()
	if err == nil {
		err = w.begin(nil)
	}
	if err != nil {
		return err
	}
	var keys []string
	for key := range w.header {
		if strings.HasPrefix(key, http.TrailerPrefix) || slices.Contains(w.trailers, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		name := strings.TrimPrefix(key, http.TrailerPrefix)
		for _, v := range w.header[key] {
			if err := w.x.Trailer(name, clean(v)); err != nil {
				w.warn(err.Error())
			}
		}
	}
	return nil
}
