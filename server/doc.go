// Package server answers HTTP/1.1 requests with values: a Handler is a function
// from a Request to a Response and does no I/O with the client.
//
//	hello := func(r *server.Request) server.Response {
//		return server.Text("Hello from " + r.Path() + "\n")
//	}
//	ln, err := tcp.Listen(tcp.Config{Addr: "127.0.0.1:8080"})
//	if err != nil {
//		log.Fatal(err)
//	}
//	log.Fatal(server.New(hello, server.Config{}).Serve(ln))
//
// So a handler is tested by calling it with NewRequest, and middleware is a
// function around a function. Long content is a value too: a Reader or a Stream
// is produced after the handler has returned.
//
// What no value can say is a Drive: interim responses, a response while the request
// is still being read, trailer fields, other protocols. HTTP makes a Handler of a
// net/http handler, and Handler.HTTP a net/http handler of one of these.
//
// # What the engine does
//
// It feeds what a connection reads to package h1, which decides what is a request
// and refuses what is not, calls the handler for each request in order, and writes
// all answers that are ready at once. It sends 100 when a handler first reads a
// body whose client waits for that, answers HEAD as GET without the content, sets
// Date, Content-Length and Connection, reads what a handler left of a body or
// closes, and lingers before it closes on a client that is still sending. On a
// connection that speaks TLS, one of transport/tls or of crypto/tls, it does the
// handshake first, in Limits.HandshakeTimeout; Request.TLS has what came of it. HTTP
// on such a port gets 400, anything else a close. If it agreed on HTTP/2, for which
// "h2" stands in the NextProtos of the listener's configuration, the connection is
// handed to package net/http, with the same handlers.
//
// # What a client gets
//
//	malformed, ambiguous     400    target too long       414
//	path with bad escape     400    expectation unknown   417
//	slow head or body        408    head too large        431
//	body too large           413    handler panicked      500
//	CONNECT, unknown coding  501    too many connections  503
//	handler too slow         504    not HTTP/1            505
//	too many in flight       503    idle too long         a close, without a word
//
// Limits has the numbers, Config.RenderError the words. After such an answer the
// connection closes; after what a handler returns, also by Err, and when too many
// requests are in flight, it goes on.
//
// # Whose goroutine
//
// Each connection has one, on which its handlers run; it ends with the connection.
// Shutdown waits for exchanges that have begun, Close cuts them.
package server
