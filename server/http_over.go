package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// drive runs a Drive answer on net/http.
func (o *overHTTP) drive(resp Response) {
	o.extra, o.close = resp.Header, resp.Close
	x := &Exchange{req: o.req, to: o}
	err := o.run(x, resp.Body.source.(func(*Exchange) error))
	x.mu.Lock()
	defer x.mu.Unlock()
	state := x.state
	x.state = exchangeEnded
	switch {
	case o.tooLate() != nil: // it has been answered for
	case o.served, state == exchangeHijacked:
		if err == ErrAbort {
			panic(http.ErrAbortHandler)
		}
	case state == exchangeSwitched, err == ErrAbort:
		panic(http.ErrAbortHandler)
	case state == exchangeNew && err == nil:
		_, _ = o.head(200, Fields{{"Content-Length", "0"}}) // what is wrong in extra, net/http leaves out
	case state == exchangeNew:
		r := Err(err)
		r.Header = o.extra
		o.respond(o.failed(r, err))
	case err != nil:
		o.breakOff(err)
	default:
		for _, t := range o.trailers {
			o.w.Header().Add(http.TrailerPrefix+t.Name, t.Value)
		}
	}
}

// run calls a Drive's function: a panic in it is an error.
func (o *overHTTP) run(x *Exchange, f func(*Exchange) error) (err error) {
	defer func() {
		p := recover()
		switch {
		case p == ErrAbort:
			err = ErrAbort
		case p != nil && o.served:
			panic(p) // as if we were not there
		case p != nil:
			o.panicked()
			o.log("server: response panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			o.close = true
			err = &panicError{p}
		}
	}()
	return f(x)
}

// serve calls a net/http handler as if we were not there.
func (o *overHTTP) serve(h http.Handler) error {
	o.served = true
	if c := o.c; c != nil && (c.srv.cfg.Limits.MaxBody > 0 || c.lst.Limits.MaxBody > 0) { // net/http has no such limit
		o.r.Body = http.MaxBytesReader(o.w, o.r.Body, o.req.maxBody)
	}
	for i := range o.extra {
		o.w.Header().Add(o.extra[i].Name, o.extra[i].Value)
	}
	for _, p := range o.req.values {
		o.r.SetPathValue(p.Name, p.Value)
	}
	h.ServeHTTP(o.w, o.r)
	return nil
}

func (o *overHTTP) info(status int, f Fields) error {
	if !o.r.ProtoAtLeast(1, 1) {
		return nil
	}
	if err := checkFields(f); err != nil {
		return err
	}
	for i := range f {
		o.w.Header().Add(f[i].Name, f[i].Value)
	}
	o.w.WriteHeader(status)
	clear(o.w.Header())
	return o.tooLate()
}

// tooLate returns ErrHandlerTimeout if that was said on w.
func (o *overHTTP) tooLate() error {
	if o.st == nil {
		return nil
	}
	return o.st.tooLate()
}

// checkFields refuses lines that net/http would mend or leave out.
func checkFields(f Fields) error {
	for i := range f {
		if v := strings.Trim(f[i].Value, " \t"); !validName(f[i].Name) || clean(v) != v {
			return fmt.Errorf("server: field %.40q cannot be sent", f[i].Name)
		}
	}
	return nil
}

func (o *overHTTP) head(status int, f Fields) (switched bool, err error) {
	if err := checkFields(f); err != nil {
		return false, err
	}
	if status == 101 || o.r.Method == "CONNECT" && status < 300 {
		o.status, o.fields = status, append(f[:len(f):len(f)], o.extra...)
		return true, nil
	}
	o.setFields(f, o.extra)
	if n, err := strconv.ParseInt(f.Get("Content-Length"), 10, 64); err == nil {
		o.length = n
	}
	o.w.WriteHeader(status)
	return false, o.tooLate()
}

func (o *overHTTP) write(p []byte) (int, error) {
	if o.length >= 0 && o.written+int64(len(p)) > o.length {
		return 0, http.ErrContentLength // net/http would count it all the same
	}
	n, err := o.w.Write(p)
	o.written += int64(n)
	return n, err
}

func (o *overHTTP) sendFile(r io.Reader) (n int64, done bool, err error) {
	if rf, ok := o.w.(io.ReaderFrom); ok {
		n, err = rf.ReadFrom(r)
		o.written += n
		return n, true, err
	}
	return 0, false, nil
}

func (o *overHTTP) flush() error { return o.rc.Flush() }

func (o *overHTTP) trailer(name, value string) error {
	if err := errors.Join(o.tooLate(), checkTrailer(name, value)); err != nil {
		return err
	}
	o.trailers = append(o.trailers, Field{name, value})
	return nil
}

func (o *overHTTP) hijack() (net.Conn, []byte, error) {
	if err := o.tooLate(); err != nil {
		return nil, nil, err
	}
	nc, rw, err := o.rc.Hijack()
	if err != nil {
		return nil, nil, err
	}
	err = errors.Join(nc.SetDeadline(time.Time{}), rw.Flush())
	if err == nil && o.status != 0 {
		var b strings.Builder
		fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", o.status, http.StatusText(o.status))
		for i := range o.fields {
			fmt.Fprintf(&b, "%s: %s\r\n", o.fields[i].Name, o.fields[i].Value)
		}
		if o.status == 101 && o.fields.index("Connection") < 0 {
			b.WriteString("Connection: upgrade\r\n")
		}
		_, err = io.WriteString(nc, b.String()+"\r\n")
	}
	if err != nil {
		_ = nc.Close() // it is of no use
		return nil, nil, err
	}
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	return nc, append([]byte(nil), early...), nil
}

func (o *overHTTP) setReadDeadline(t time.Time) error { return o.rc.SetReadDeadline(t) }

func (o *overHTTP) setWriteDeadline(t time.Time) error { return o.rc.SetWriteDeadline(t) }
