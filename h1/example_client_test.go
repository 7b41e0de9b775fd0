package h1_test

import (
	"fmt"
	"io"
	"strings"

	"postern/h1"
)

// get asks for target on rw, copies the content to body, and returns the status and
// whether the connection can be used again.
func get(rw io.ReadWriter, host, target string, body io.Writer) (status int, reusable bool, err error) {
	var conn h1.ClientConn
	head := conn.Begin(nil, "GET", target, host)
	head.Known(h1.FieldAccept, "*/*")
	out, err := head.End()
	if err == nil {
		out, err = conn.AppendEnd(out)
	}
	if err == nil {
		_, err = rw.Write(out)
	}
	var in h1.Buffer
	for err == nil {
		ev, n, fault := conn.Next(in.Unread())
		in.Consumed(n)
		switch {
		case fault != nil:
			err = fault
		case ev.Kind == h1.EventResponse: // EventInfo comes the same way before it
			status = conn.Response().Status()
		case ev.Kind == h1.EventData:
			_, err = body.Write(ev.Data)
		case ev.Kind == h1.EventEnd:
			return status, !conn.ShouldClose(), nil
		case ev.Kind == h1.EventNeedData:
			n, end := rw.Read(in.Free(4096))
			in.Filled(n)
			switch end {
			case nil:
			case io.EOF:
				conn.CloseInput() // the end of content that has no other
			default:
				conn.FailInput() // no end at all
			}
		}
	}
	return 0, false, err
}

func ExampleClientConn() {
	for _, answer := range []string{
		"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n",
		"HTTP/1.0 404 Not Found\r\n\r\nnothing here\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhe",
	} {
		var request, body strings.Builder
		status, reusable, err := get(wire{strings.NewReader(answer), &request}, "example.org", "/", &body)
		fmt.Printf("%d %q reusable: %v, %v\n", status, body.String(), reusable, err)
	}
	// Output:
	// 200 "hello\n" reusable: true, <nil>
	// 404 "nothing here\n" reusable: false, <nil>
	// 0 "he" reusable: false, h1: input ended inside a message at byte 40
}

// An upload of unknown length, with a checksum behind it.
func ExampleClientConn_Begin() {
	var conn h1.ClientConn
	head := conn.Begin(nil, "PUT", "/log", "example.org")
	head.Chunked()
	head.Field("Trailer", "X-Lines")
	out, err := head.End()
	for _, s := range []string{"one\n", "two\n"} {
		if err == nil {
			out, err = conn.AppendData(out, []byte(s))
		}
	}
	if err == nil {
		trailer := conn.BeginTrailer(out)
		trailer.Field("X-Lines", "2")
		out, err = trailer.End()
	}
	fmt.Print(strings.ReplaceAll(string(out), "\r\n", "\n"), err)
	// Output:
	// PUT /log HTTP/1.1
	// Host: example.org
	// Trailer: X-Lines
	// Transfer-Encoding: chunked
	//
	// 4
	// one
	//
	// 4
	// two
	//
	// 0
	// X-Lines: 2
	//
	// <nil>
}

// Three requests are sent at once; the server closes behind the second answer.
func ExampleClientConn_Pending() {
	var conn h1.ClientConn
	conn.Reset(&h1.Config{MaxPending: 3})
	var out []byte
	for _, target := range []string{"/1", "/2", "/3"} {
		head := conn.Begin(out, "GET", target, "example.org")
		out, _ = head.End()
		out, _ = conn.AppendEnd(out)
	}
	in := []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	for !conn.ShouldClose() {
		ev, n, _ := conn.Next(in)
		in = in[n:]
		if ev.Kind == h1.EventEnd {
			fmt.Println(conn.Response().Status(), "pending:", conn.Pending(), "closed:", conn.ShouldClose())
		}
	}
	// Output:
	// 200 pending: 2 closed: false
	// 200 pending: 1 closed: true
}

func ExampleBuffer() {
	in := strings.NewReader("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n")
	var conn h1.ServerConn
	var buf h1.Buffer
	for {
		ev, n, err := conn.Next(buf.Unread())
		buf.Consumed(n)
		switch {
		case err != nil:
			fmt.Println(err)
			return
		case ev.Kind == h1.EventRequest:
			fmt.Printf("%s\n", conn.Request().Target())
		case ev.Kind == h1.EventEnd:
			if _, err := conn.AppendResponse(nil, 204, "", nil); err != nil {
				fmt.Println(err)
			}
		case ev.Kind == h1.EventNeedData:
			n, err := in.Read(buf.Free(8)[:8]) // pieces, as a network makes them
			if buf.Filled(n); err != nil {
				conn.CloseInput()
			}
		case ev.Kind == h1.EventClosed:
			return
		}
	}
	// Output:
	// /a
	// /b
}

// A proxy sends on what it has read: the fields that are meant for the other end,
// and the content as it was framed.
func ExampleHeadWriter_CopyFields() {
	var client h1.ServerConn   // towards the client
	var upstream h1.ClientConn // towards the server
	in := []byte("POST /a HTTP/1.1\r\nHost: x\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-End: 2\r\nTransfer-Encoding: chunked\r\n\r\n")
	if _, _, err := client.Next(in); err != nil {
		fmt.Println(err)
	}
	request := client.Request()
	head := upstream.BeginBytes(nil, request.MethodBytes(), request.Target(), request.Authority())
	head.CopyFields(request, nil)
	head.Field("Via", "1.1 example")
	if request.Framing() == h1.FramingChunked {
		head.Chunked()
	}
	out, err := head.End()
	fmt.Print(strings.ReplaceAll(string(out), "\r\n", "\n"), err)
	// Output:
	// POST /a HTTP/1.1
	// Host: x
	// X-End: 2
	// Via: 1.1 example
	// Transfer-Encoding: chunked
	//
	// <nil>
}

// What a handler was given to say cannot become a line of its own, and a refused
// head leaves everything as it was.
func ExampleHeadWriter() {
	var conn h1.ServerConn
	for in := []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); ; {
		ev, n, _ := conn.Next(in)
		if in = in[n:]; ev.Kind == h1.EventEnd {
			break
		}
	}
	head := conn.Begin(nil, 302)
	head.Known(h1.FieldLocation, "/\r\nSet-Cookie: evil=1")
	out, err := head.End()
	fmt.Printf("%q, %v\n", out, err)

	out, err = conn.AppendResponse(out, 500, "", nil)
	fmt.Printf("%q, %v\n", out, err)
	// Output:
	// "", h1: invalid byte in a field value to be sent
	// "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", <nil>
}
