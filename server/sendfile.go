package server

import (
	"errors"
	"io"
	"os"
	"time"

	"postern/h1"
)

// sendFile sends what it can of r, if that is a file, from file to socket.
func (d *driven) sendFile(r io.Reader) (n int64, done bool, err error) {
	c := d.c
	if d.framing != h1.FramingLength || d.discards || !c.fromFile(r, d.length-d.given) {
		return 0, false, nil
	}
	if err = d.flush(); err != nil {
		return 0, true, err
	}
	n, err = c.sendFile(r, d.length-d.given)
	d.given += n
	if n > 0 { // Content-Length frames it: nothing stands around it
		e := d.protocol(func(p *h1.ServerConn) (err error) {
			if c.out, err = p.BeginData(c.out, n); err == nil {
				c.out, err = p.EndData(c.out)
			}
			return err
		})
		err = errors.Join(err, e)
	}
	return n, err != nil, err // who copies the rest finds EOF, or that it is too much
}

// copyFile is copyFrom for a file that goes straight to the socket.
func (c *conn) copyFile(r io.Reader, n int64) error {
	if err := c.flush(); err != nil {
		return err
	}
	sent, err := c.sendFile(r, n)
	if err == nil && sent < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if c.out, err = c.proto.BeginData(c.out, sent); err == nil {
		c.out, err = c.proto.EndData(c.out)
	}
	return err
}

// smallFile is up to how many bytes copying is cheaper: head and content are then
// one write.
const smallFile = 32 << 10

// fromFile reports whether r is a file of which n bytes should go straight to the
// socket.
func (c *conn) fromFile(r io.Reader, n int64) bool {
	if n <= smallFile {
		return false
	}
	if l, ok := r.(*io.LimitedReader); ok {
		r = l.R
	}
	_, file := r.(*os.File)
	_, able := c.nc.(io.ReaderFrom)
	return file && able
}

// sendFilePiece is how many bytes of a file are sent under one deadline.
const sendFilePiece = 1 << 20

// sendFile sends at most n bytes of r from file to socket and returns how many it
// has sent, fewer without an error at r's end.
func (c *conn) sendFile(r io.Reader, n int64) (sent int64, err error) {
	nc := c.nc.(io.ReaderFrom)
	t := c.lst.limits.WriteTimeout
	for sent < n {
		if now := time.Now(); t > 0 && c.writeBy.Sub(now) < t {
			c.setWriteDeadline(now.Add(2 * t))
		}
		piece := io.LimitedReader{R: r, N: min(n-sent, sendFilePiece)}
		if l, ok := r.(*io.LimitedReader); ok { // the system looks through one of them only
			piece = io.LimitedReader{R: l.R, N: min(piece.N, l.N)}
		}
		want := piece.N
		m, err := nc.ReadFrom(&piece)
		sent += m
		c.written += m
		c.sent(int(m))
		if l, ok := r.(*io.LimitedReader); ok {
			l.N -= m
		}
		switch {
		case err != nil && !(m > 0 && errors.Is(err, os.ErrDeadlineExceeded)):
			c.countWrite(err)
			c.fail(endReset)
			return sent, err
		case err == nil && (m < want || m == 0):
			return sent, nil
		}
	}
	return sent, nil
}
