// Embed is h1 in a plain loop over net.Conn: it answers with the path and the content.
package main

import (
	"io"
	"log"
	"net"
	"time"

	"postern/h1"
)

func main() {
	ln, err := net.Listen("tcp", "127.0.0.1:8080")
	for err == nil {
		var c net.Conn
		if c, err = ln.Accept(); err == nil {
			go serve(c.(*net.TCPConn), 30*time.Second) // ends with its connection
		}
	}
	log.Fatal(err)
}

// serve speaks HTTP on c until its end, or until nothing moves for patience.
func serve(c *net.TCPConn, patience time.Duration) {
	defer c.Close()
	var conn h1.ServerConn
	conn.Reset(&h1.Config{MaxBody: 1 << 20})
	var in h1.Buffer
	var out, answer []byte
	for !conn.ShouldClose() {
		ev, n, err := conn.Next(in.Unread())
		switch in.Consumed(n); {
		case err != nil, ev.Kind == h1.EventRequest && conn.Request().MethodIs("CONNECT"):
			out, _ = conn.AppendErrorResponse(out, err) // 200 to CONNECT would be a tunnel
		case ev.Kind == h1.EventRequest:
			answer = append(append(answer[:0], conn.Request().Target()...), '\n')
		case ev.Kind == h1.EventData:
			answer = append(answer, ev.Data...)
		case ev.Kind == h1.EventEnd:
			out, _ = conn.AppendResponse(out, 200, "text/plain", answer)
		case ev.Kind == h1.EventNeedData: // the answers to a batch go out in one write
			if conn.WantsContinue() {
				out, _ = conn.AppendInfo(out, 100)
			}
			c.SetDeadline(time.Now().Add(patience))
			c.Write(out) // if this fails so does reading
			n, err = c.Read(in.Free(4096))
			in.Filled(n)
			if out = out[:0]; err != nil {
				return // nothing more is due, or nobody waits for it
			}
		}
	}
	c.SetDeadline(time.Now().Add(patience))
	c.Write(out)
	c.CloseWrite() // closing while the client still sends could destroy the answer on its way
	io.Copy(io.Discard, c)
}
