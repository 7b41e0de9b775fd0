package server

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"postern/h1"
)

// protocol calls f with the state machine in a state that stays. An error of h1's
// is copied: its storage is the connection's.
func (d *driven) protocol(f func(p *h1.ServerConn) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.c.broken {
		return io.ErrClosedPipe
	}
	err := f(&d.c.proto)
	if e, ok := err.(*h1.Error); ok {
		fault := *e
		return fmt.Errorf("server: response: %w", &fault)
	}
	return err
}

func (d *driven) info(status int, f Fields) error {
	c := d.c
	if c.req.head.Version() == h1.HTTP10 {
		return nil
	}
	err := d.protocol(func(p *h1.ServerConn) (err error) {
		w := p.Begin(c.out, status)
		for i := range f {
			w.Field(f[i].Name, f[i].Value)
		}
		c.out, err = w.End()
		return err
	})
	if err == nil {
		err = c.flush()
	}
	return err
}

func (d *driven) head(status int, f Fields) (switched bool, err error) {
	c := d.c
	err = d.protocol(func(p *h1.ServerConn) (err error) {
		if c.srv.draining.Load() {
			p.DisableKeepAlive()
		}
		if status == 101 && expects100(p.Request()) { // 100 comes first (RFC 9110 7.8)
			if _, err := d.appendHead(p, c.out, status, f); errors.Is(err, h1.ErrStatus) {
				c.out, _ = p.AppendInfo(c.out, 100)
			}
		}
		if c.out, err = d.appendHead(p, c.out, status, f); err != nil {
			return err
		}
		_, server := p.State()
		switched = server == h1.Switched
		d.framing = p.Sending()
		return nil
	})
	if err != nil {
		return false, err
	}
	c.status = status
	d.discards = c.req.head.Method() == h1.MethodHead
	if n, err := strconv.ParseInt(strings.TrimSpace(f.Get("Content-Length")), 10, 64); err == nil {
		d.length = n
	}
	return switched, nil
}

func expects100(h *h1.Head) bool { return h.HasToken(h1.FieldExpect, "100-continue") }

func (d *driven) appendHead(p *h1.ServerConn, out []byte, status int, f Fields) ([]byte, error) {
	c := d.c
	w := p.Begin(out, status)
	if (d.close || d.spoiled.Load()) && status != 101 {
		w.Close()
	}
	if !d.bare && status >= 200 && f.index("Date") < 0 && d.extra.index("Date") < 0 {
		w.Known(h1.FieldDate, c.srv.commonAt(c.srv.age()).date)
	}
	if s := c.srv.cfg.ServerName; s != "" && f.index("Server") < 0 && d.extra.index("Server") < 0 {
		w.Known(h1.FieldServer, s)
	}
	for i := range d.extra {
		w.Field(d.extra[i].Name, d.extra[i].Value)
	}
	typed := d.extra.index("Content-Type") >= 0
	for i := range f {
		if typed && strings.EqualFold(f[i].Name, "Content-Type") {
			continue
		}
		w.Field(f[i].Name, f[i].Value)
	}
	return w.End()
}

func (d *driven) write(p []byte) (int, error) {
	if err := d.room(int64(len(p))); err != nil {
		return 0, err
	}
	if d.discards {
		return len(p), nil
	}
	if len(d.buf)+len(p) > chunkSize {
		if err := d.drain(); err != nil {
			return 0, err
		}
	}
	switch {
	case len(p) >= batchSize:
		if err := d.writeThrough(p); err != nil {
			return 0, err
		}
	case len(p) >= chunkSize:
		if err := d.append(p); err != nil {
			return 0, err
		}
	default:
		d.buf = append(d.buf, p...)
	}
	d.given += int64(len(p))
	return len(p), nil
}

// room refuses n bytes of content that the response cannot have.
func (d *driven) room(n int64) error {
	switch {
	case d.c.broken: // by a write: writers alone break it
		return io.ErrClosedPipe
	case n > 0 && d.framing == h1.FramingNone && !d.discards:
		return fmt.Errorf("server: response: %w", h1.ErrNoContent)
	case d.length >= 0 && d.given+n > d.length:
		return fmt.Errorf("server: response: %w", h1.ErrBodyOverrun)
	}
	return nil
}

// drain makes what has been collected a chunk.
func (d *driven) drain() error {
	p := d.buf
	d.buf = d.buf[:0]
	if len(p) == 0 {
		return nil
	}
	return d.append(p)
}

// append appends content, and writes when enough has been collected.
func (d *driven) append(p []byte) error {
	c := d.c
	err := d.protocol(func(proto *h1.ServerConn) (err error) {
		c.out, err = proto.AppendData(c.out, p)
		return err
	})
	if err != nil {
		return err
	}
	if c.written += int64(len(p)); len(c.out) >= batchSize {
		return c.flush()
	}
	return nil
}

// writeThrough writes content that is long without copying it.
func (d *driven) writeThrough(p []byte) error {
	c := d.c
	err := d.protocol(func(proto *h1.ServerConn) (err error) {
		c.out, err = proto.BeginData(c.out, int64(len(p)))
		return err
	})
	if err != nil {
		return err
	}
	if err = c.flush(); err == nil {
		c.sent(len(p))
		err = c.send(p)
	}
	if err != nil {
		return err
	}
	c.written += int64(len(p))
	return d.protocol(func(proto *h1.ServerConn) (err error) {
		c.out, err = proto.EndData(c.out)
		return err
	})
}

func (d *driven) flush() error {
	if err := d.drain(); err != nil {
		return err
	}
	if d.c.broken {
		return io.ErrClosedPipe
	}
	return d.c.flush()
}

// end ends the message.
func (d *driven) end() error {
	c := d.c
	return d.protocol(func(p *h1.ServerConn) (err error) {
		if len(d.trailers) == 0 || d.framing != h1.FramingChunked {
			c.out, err = p.AppendEnd(c.out)
			return err
		}
		w := p.BeginTrailer(c.out)
		for i := range d.trailers {
			w.Field(d.trailers[i].Name, d.trailers[i].Value)
		}
		c.out, err = w.End()
		return err
	})
}

func (d *driven) trailer(name, value string) error {
	if err := checkTrailer(name, value); err != nil {
		return err
	}
	d.trailers = append(d.trailers, Field{name, value})
	return nil
}

// checkTrailer asks a connection that nobody uses whether a trailer section may
// have that field.
func checkTrailer(name, value string) error {
	var c h1.ClientConn
	w := c.Begin(nil, "POST", "/", "a")
	w.Chunked()
	_, err := w.End()
	if err == nil {
		w = c.BeginTrailer(nil)
		w.Field(name, value)
		_, err = w.End()
	}
	if err != nil {
		return fmt.Errorf("server: trailer field %.40q: %w", name, err)
	}
	return nil
}
