package h1_test

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"postern/h1"
)

// wire is a connection whose peer says what it has to say and listens.
type wire struct {
	io.Reader
	io.Writer
}

// serve answers every request on rw with what it asked for, by one write for each
// read.
func serve(rw io.ReadWriter) error {
	var conn h1.ServerConn
	buf, r, w := make([]byte, 128<<10), 0, 0 // buf[r:w] is not consumed
	var out, answer []byte
	for !conn.ShouldClose() {
		ev, n, err := conn.Next(buf[r:w])
		r += n
		switch {
		case err != nil: // malformed or truncated: one answer, then the end
			out, _ = conn.AppendErrorResponse(out, err)
		case ev.Kind == h1.EventRequest:
			answer = fmt.Appendf(answer[:0], "%s %s:", conn.Request().MethodBytes(), conn.Request().Target())
		case ev.Kind == h1.EventData:
			answer = append(answer, ev.Data...)
		case ev.Kind == h1.EventEnd:
			if out, err = conn.AppendResponse(out, 200, "text/plain", answer); err != nil {
				return err
			}
		case ev.Kind == h1.EventNeedData:
			if conn.WantsContinue() {
				out, _ = conn.AppendInfo(out, 100)
			}
			if _, err := rw.Write(out); err != nil {
				return err
			}
			out, w, r = out[:0], copy(buf, buf[r:w]), 0
			m, err := rw.Read(buf[w:])
			if w += m; err != nil {
				conn.CloseInput()
			}
		case ev.Kind == h1.EventClosed:
			return nil
		}
	}
	_, err := rw.Write(out)
	return err
}

func ExampleServerConn() {
	in := "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" +
		"GET /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	var out strings.Builder
	if err := serve(wire{strings.NewReader(in), &out}); err != nil {
		fmt.Println(err)
	}
	fmt.Print(strings.ReplaceAll(out.String(), "\r\n", "\n"))
	// Output:
	// HTTP/1.1 200 OK
	// Content-Type: text/plain
	// Content-Length: 13
	//
	// POST /a:helloHTTP/1.1 400 Bad Request
	// Content-Type: text/plain; charset=utf-8
	// Content-Length: 40
	// Connection: close
	//
	// Content-Length beside Transfer-Encoding
}

func ExampleHead() {
	var conn h1.ServerConn
	in := []byte("GET /search?q=go HTTP/1.1\r\nHost: example.com\r\nAccept: text/html\r\nX-Id: 7\r\n\r\n")
	if _, _, err := conn.Next(in); err != nil {
		fmt.Println(err)
	}
	head := conn.Request()
	accept, _ := head.Get(h1.FieldAccept)
	id, _ := head.Lookup("x-id")
	fmt.Printf("%s %s from %s accepts %s, id %s\n", head.Method(), head.Target(), head.Authority(), accept, id)
	for name, value := range head.All() {
		fmt.Printf("%s = %s\n", name, value)
	}
	// Output:
	// GET /search?q=go from example.com accepts text/html, id 7
	// Host = example.com
	// Accept = text/html
	// X-Id = 7
}

func ExampleServerConn_Begin() {
	var conn h1.ServerConn
	for in := []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); ; {
		ev, n, _ := conn.Next(in)
		if in = in[n:]; ev.Kind == h1.EventEnd {
			break
		}
	}
	head := conn.Begin(nil, 200)
	head.Known(h1.FieldContentType, "text/event-stream")
	head.Field("X-Note", "no length, so the content is chunked")
	out, err := head.End()
	for _, s := range []string{"one\n", "two\n"} {
		if err == nil {
			out, err = conn.AppendData(out, []byte(s))
		}
	}
	if err == nil {
		out, err = conn.AppendEnd(out)
	}
	fmt.Print(strings.ReplaceAll(string(out), "\r\n", "\n"), err)
	// Output:
	// HTTP/1.1 200 OK
	// Content-Type: text/event-stream
	// X-Note: no length, so the content is chunked
	// Transfer-Encoding: chunked
	//
	// 4
	// one
	//
	// 4
	// two
	//
	// 0
	//
	// <nil>
}

// A proxy forwards the fields that are meant for the other end.
func ExampleHead_HopByHop() {
	var conn h1.ServerConn
	in := []byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x-trace\r\nKeep-Alive: 5\r\nX-Trace: 7\r\nX-Id: 8\r\nTE: trailers\r\n\r\n")
	if _, _, err := conn.Next(in); err != nil {
		fmt.Println(err)
	}
	head := conn.Request()
	for i := range head.Len() {
		if name, value := head.At(i); !head.HopByHop(i) {
			fmt.Printf("%s: %s\n", name, value)
		}
	}
	// Output:
	// Host: a
	// X-Id: 8
}

func ExampleError() {
	var conn h1.ServerConn
	_, _, err := conn.Next([]byte("GET / HTTP/1.1\r\nHost : a\r\n\r\n"))
	fmt.Println(errors.Is(err, h1.ErrSpaceBeforeColon))
	if e, ok := errors.AsType[*h1.Error](err); ok {
		fmt.Println(e.Status, e.Offset, e.Remote)
	}
	fmt.Println(err)
	// Output:
	// true
	// 400 20 true
	// h1: whitespace before the field's colon at byte 20
}
