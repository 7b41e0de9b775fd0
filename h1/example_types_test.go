package h1_test

import (
	"errors"
	"fmt"

	"postern/h1"
)

// head reads one request head.
func head(cfg *h1.Config, in string) (*h1.Head, error) {
	var conn h1.ServerConn
	conn.Reset(cfg)
	_, _, err := conn.Next([]byte(in))
	return conn.Request(), err
}

func ExampleConfig() {
	in := "GET /a|b HTTP/1.1\r\nHost: x\r\nCookie: c=1\r\n\r\n"
	for _, cfg := range []*h1.Config{nil, {MaxFields: 1}, {StrictTarget: true}} {
		_, err := head(cfg, in)
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// h1: too many field lines at byte 28
	// h1: invalid request-target at byte 6
}

func ExampleEvent() {
	var conn h1.ServerConn
	in := []byte("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
	for {
		ev, n, err := conn.Next(in)
		if err != nil || ev.Kind == h1.EventPaused {
			break
		}
		in = in[n:]
		fmt.Printf("%v %q\n", ev.Kind, ev.Data)
	}
	// Output:
	// Request ""
	// Data "hello"
	// Data " world"
	// End ""
}

func ExampleEventKind() {
	fmt.Println(h1.EventNeedData, h1.EventPaused, h1.EventSwitched)
	// Output: NeedData Paused Switched
}

// Chunks mean nothing, but a tool may want to show them.
func ExampleEventFlags() {
	var conn h1.ServerConn
	in := []byte("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
	_, n, _ := conn.Next(in)
	in = in[n:]
	for _, more := range []string{"", "lo\r\n0\r\n\r\n"} {
		ev, n, _ := conn.Next(append(in, more...))
		in = append(in, more...)[n:]
		fmt.Printf("%q begins a chunk: %v, ends it: %v\n", ev.Data, ev.Flags&h1.ChunkStart != 0, ev.Flags&h1.ChunkEnd != 0)
	}
	// Output:
	// "hel" begins a chunk: true, ends it: false
	// "lo" begins a chunk: false, ends it: true
}

func ExampleCode() {
	_, err := head(nil, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n")
	fmt.Println(errors.Is(err, h1.ErrContentLength), h1.ErrContentLength.Status())
	// Output: true 400
}

func ExampleFieldID() {
	h, _ := head(nil, "GET / HTTP/1.1\r\nhost: a\r\nACCEPT: text/html\r\nX-Id: 7\r\n\r\n")
	for i := range h.Len() {
		fmt.Printf("%q ", h.ID(i).String())
	}
	accept, ok := h.Get(h1.FieldAccept)
	fmt.Printf("%s %v\n", accept, ok)
	// Output: "Host" "Accept" "" text/html true
}

func ExampleForm() {
	for _, line := range []string{"GET /a", "GET http://b/a", "CONNECT b:443", "OPTIONS *"} {
		h, err := head(nil, line+" HTTP/1.1\r\nHost: b\r\n\r\n")
		fmt.Printf("%v to %s, %v\n", h.TargetForm(), h.Authority(), err)
	}
	// Output:
	// origin-form to b, <nil>
	// absolute-form to b, <nil>
	// authority-form to b:443, <nil>
	// asterisk-form to b, <nil>
}

func ExampleFraming() {
	for _, fields := range []string{"", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"} {
		h, _ := head(nil, "POST / HTTP/1.1\r\nHost: a\r\n"+fields+"\r\n")
		fmt.Println(h.Framing(), h.NoBody())
	}
	// Output:
	// none true
	// length false
	// chunked false
}

func ExampleMethod() {
	for _, method := range []string{"GET", "get", "PROPFIND"} {
		h, _ := head(nil, method+" / HTTP/1.1\r\nHost: a\r\n\r\n")
		fmt.Printf("%v %s\n", h.Method() == h1.MethodGet, h.MethodBytes())
	}
	// Output:
	// true GET
	// false get
	// false PROPFIND
}

func ExampleVersion() {
	for _, version := range []string{"1.0", "1.1", "1.9"} {
		h, _ := head(nil, "GET / HTTP/"+version+"\r\nHost: a\r\n\r\n")
		fmt.Println(h.Version(), h.KeepAlive())
	}
	// Output:
	// HTTP/1.0 false
	// HTTP/1.1 true
	// HTTP/1.1 true
}

// A transport asks what to wait for, and for how long is its own affair.
func ExamplePhase() {
	var conn h1.ServerConn
	in := []byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
	fmt.Println(conn.Phase())
	conn.Next(in[:20])
	fmt.Println(conn.Phase())
	_, n, _ := conn.Next(in)
	fmt.Println(conn.Phase())
	for range 2 {
		_, m, _ := conn.Next(in[n:])
		n += m
	}
	fmt.Println(conn.Phase())
	// Output:
	// Idle
	// Head
	// Body
	// Respond
}

func ExampleState() {
	var conn h1.ServerConn
	fmt.Println(conn.Next([]byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")))
	fmt.Println(conn.State())
	conn.Next(nil)
	fmt.Println(conn.State())
	if _, err := conn.AppendResponse(nil, 204, "", nil); err != nil {
		fmt.Println(err)
	}
	fmt.Println(conn.State())
	// Output:
	// {Request 0 []} 46 <nil>
	// Body Idle
	// Done Idle
	// Closed Closed
}

func ExampleStatusText() {
	fmt.Println(h1.StatusText(404), h1.StatusText(999) == "")
	// Output: Not Found true
}

func ExampleFieldLines() {
	lines, err := h1.FieldLines{}.With("Server", "demo")
	if err == nil {
		lines, err = lines.With("Content-Type", "text/plain")
	}
	if err != nil {
		panic(err)
	}
	var conn h1.ServerConn
	in := []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	_, n, _ := conn.Next(in) // EventRequest
	_, _, _ = conn.Next(in[n:])
	out, err := conn.AppendFixed(nil, 200, lines, []byte("hello\n"))
	fmt.Printf("%q %v\n", out, err)
	// Output: "HTTP/1.1 200 OK\r\nServer: demo\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n" <nil>
}
