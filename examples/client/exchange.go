package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"postern/examples/internal/program"
	"postern/h1"
)

// longContent is from how many bytes on content is worth asking for 100 (Continue).
const longContent = 1 << 20

// exchange is a request and its response. The request's content is sent by a
// goroutine of its own, since the response may come before its end: mu guards the
// machine, which both use, and is not held while reading or writing.
type exchange struct {
	*command
	conn net.Conn
	in   h1.Buffer

	mu      sync.Mutex
	machine h1.ClientConn
	fault   error         // why the content cannot be sent, if that is not the server's doing
	begun   chan struct{} // closed once the server wants the content, or has answered
	once    sync.Once     // closes begun
}

// do sends the request and receives the response.
func (cmd *command) do(ctx context.Context, to destination) error {
	conn, err := program.Dial(ctx, to.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // wakes whoever waits
	x := &exchange{command: cmd, conn: conn, begun: make(chan struct{})}
	head, err := x.appendHead(to)
	if err != nil {
		return fmt.Errorf("this request cannot be sent: %w", err)
	}
	x.show("> ", head)
	sent := make(chan error, 1)
	if cmd.content.Reader == nil {
		sent <- x.write(head)
	} else {
		go func() { sent <- x.send(head) }() // ends with the connection, or with the content's reader
	}
	err = x.receive()
	x.mu.Lock()
	fault, over := x.fault, x.machine.ShouldClose()
	x.mu.Unlock()
	switch {
	case err == nil && !over: // the server may have answered before it has all of the content
		return <-sent
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case fault != nil:
		return fault
	}
	return err
}

// appendHead returns the request's head, and its end if it has no content.
func (x *exchange) appendHead(to destination) ([]byte, error) {
	host := to.host
	if h, ok := x.field("Host"); ok {
		host = h
	}
	w := x.machine.Begin(nil, x.method, to.target, host)
	for _, f := range x.fields {
		if !strings.EqualFold(f[0], "Host") {
			w.Field(f[0], f[1])
		}
	}
	if _, ok := x.field("User-Agent"); !ok {
		w.Known(h1.FieldUserAgent, "postern-client")
	}
	c := x.content
	if c.Reader == nil {
		out, err := w.End()
		if err == nil {
			out, err = x.machine.AppendEnd(out)
		}
		return out, err
	}
	if _, ok := x.field("Content-Type"); !ok {
		w.Known(h1.FieldContentType, "application/octet-stream")
	}
	if _, ok := x.field("Expect"); !ok && x.expect > 0 && (c.length < 0 || c.length >= longContent) {
		w.Known(h1.FieldExpect, "100-continue")
	}
	if c.length < 0 {
		w.Chunked()
	} else {
		w.Length(c.length)
	}
	return w.End()
}

// send sends the head and the content.
func (x *exchange) send(out []byte) error {
	x.mu.Lock()
	waits := x.machine.WantsContinue()
	x.mu.Unlock()
	if waits {
		if err := x.write(out); err != nil {
			return x.giveUp(err)
		}
		out = out[:0]
		select {
		case <-x.begun:
		case <-time.After(x.expect): // it may not know of 100
		}
	}
	buf := make([]byte, 32<<10)
	for {
		n, end := x.content.Read(buf)
		if end != nil && end != io.EOF {
			return x.fail(end)
		}
		x.mu.Lock()
		var err error
		out, err = x.machine.AppendData(out, buf[:n])
		if err == nil && end != nil {
			out, err = x.machine.AppendEnd(out)
		}
		x.mu.Unlock()
		switch {
		case errors.Is(err, h1.ErrState):
			return nil // the response came before, and the rest is not wanted
		case err != nil: // a file that became shorter
			return x.fail(err)
		}
		if err := x.write(out); err != nil {
			return x.giveUp(err)
		}
		if out = out[:0]; end != nil {
			return nil
		}
	}
}

// giveUp ends sending. The server may have answered all the same, and be closing.
func (x *exchange) giveUp(err error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	_ = x.machine.Abandon() // fails only if the response has ended the connection
	return err
}

// fail ends the exchange, so that the content does not look complete.
func (x *exchange) fail(err error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.fault = fmt.Errorf("the content cannot be sent: %w", err)
	_ = x.conn.Close()
	return x.fault
}

// receive reads the response and writes its content.
func (x *exchange) receive() error {
	var lost error // why reading failed
	for {
		x.mu.Lock()
		ev, n, err := x.machine.Next(x.in.Unread())
		x.in.Consumed(n)
		x.mu.Unlock()
		switch {
		case err != nil && errors.Is(lost, os.ErrDeadlineExceeded):
			return fmt.Errorf("nothing moved for %v", x.timeout)
		case err != nil && lost != nil:
			return fmt.Errorf("the connection broke: %w", lost)
		case errors.Is(err, h1.ErrUnexpectedEOF):
			return errors.New("the server closed before the response was complete")
		case err != nil:
			return fmt.Errorf("this is no response: %w", err)
		}
		switch ev.Kind {
		case h1.EventInfo, h1.EventResponse:
			err = x.head(x.machine.Response(), ev.Kind == h1.EventResponse)
		case h1.EventData:
			_, err = x.stdout.Write(ev.Data)
		case h1.EventEnd:
			if t := x.machine.Trailer(); t.Len() > 0 {
				x.show("< ", t.Raw())
			}
			return nil
		case h1.EventSwitched:
			return errors.New("the server switched to another protocol")
		case h1.EventNeedData:
			if lost = x.read(); lost == io.EOF {
				lost = nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// head takes up the head of a response.
func (x *exchange) head(h *h1.Head, final bool) error {
	x.show("< ", h.Raw())
	if final || h.Status() == 100 {
		x.once.Do(func() { close(x.begun) })
	}
	if !final {
		return nil
	}
	if h.Status() >= 300 { // the content is not what was wanted
		x.mu.Lock()
		_ = x.machine.Abandon() // fails only if all of it was sent
		x.mu.Unlock()
	}
	if x.include {
		_, err := x.stdout.Write(h.Raw())
		return err
	}
	return nil
}

// read reads what comes next, and tells the machine how the input ended if it has.
func (x *exchange) read() error {
	n, err := 0, x.patience()
	if err == nil {
		n, err = x.conn.Read(x.in.Free(32 << 10))
	}
	x.in.Filled(n)
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case err == io.EOF:
		x.machine.CloseInput()
	case err != nil:
		x.machine.FailInput() // also to content that ends with the connection
	}
	return err
}

func (x *exchange) write(b []byte) error {
	if err := x.patience(); err != nil {
		return err
	}
	_, err := x.conn.Write(b)
	return err
}

// patience gives both directions time anew: while one moves, the other may wait.
func (x *exchange) patience() error {
	if x.timeout <= 0 {
		return nil
	}
	return x.conn.SetDeadline(time.Now().Add(x.timeout))
}

// show writes a head or a trailer section to standard error, if that is wanted.
func (x *exchange) show(mark string, section []byte) {
	if !x.verbose {
		return
	}
	for line := range bytes.Lines(section) {
		fmt.Fprintf(x.stderr, "%s%s\n", mark, bytes.TrimRight(line, "\r\n"))
	}
}
