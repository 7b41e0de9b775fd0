// Package h1 is HTTP/1.1 as a pure state machine: bytes in, events out; messages
// in, bytes out. It does no I/O, knows no clock, starts no goroutine and takes no
// lock, so it fits under any transport, in tests as in servers, and behaves the
// same everywhere.
//
// # The loop
//
// A server reads into a buffer of its own, calls Next with all bytes that are not
// yet consumed, acts on the event, and writes what it has appended to an output
// buffer of its own:
//
//	var conn h1.ServerConn
//	for !conn.ShouldClose() {
//		ev, n, err := conn.Next(buf[r:w])
//		r += n
//		switch {
//		case err != nil:
//			out, _ = conn.AppendErrorResponse(out, err)
//		case ev.Kind == h1.EventRequest: // conn.Request() is the head
//		case ev.Kind == h1.EventData:    // ev.Data is content
//		case ev.Kind == h1.EventEnd:
//			if out, err = conn.AppendResponse(out, 200, "text/plain", body); err != nil {
//				return err // ours, and nothing was appended: 200 to CONNECT, for one
//			}
//		case ev.Kind == h1.EventNeedData:
//			// write out, move buf[r:w] to the front, read more behind it;
//			// at EOF call conn.CloseInput
//		}
//	}
//
// The example of ServerConn is this loop, complete. A client's is the same with the
// roles exchanged: it writes a request with ClientConn.Begin, End, AppendData and
// AppendEnd, and finds its answer as EventResponse, EventData and EventEnd; see the
// example of ClientConn. A proxy is one of each.
//
// # Who owns the bytes
//
// The input belongs to the caller. h1 keeps no part of it and copies none; event
// data and the views of heads alias it, and are valid until the caller reuses the
// bytes. It writes to the input in one case: a folded field line of a response is
// joined in place. Output is appended to a slice of the caller's. Nothing is
// allocated per message.
//
// A connection is not safe for concurrent use: who reads in one goroutine and
// writes in another guards both with a lock, held around the calls and not around
// the I/O.
//
// # What can be relied on
//
// How the input is cut into pieces changes nothing: not the events, not the
// error, not its offset. Every limit is exact. A call that fails for the caller's
// own fault leaves both the output and the connection as they were. An error of
// the peer is final; after it a server can write exactly one response.
//
// # What is left out on purpose
//
// Timeouts, since they need a clock; Phase tells what to time. Date and Server,
// which are policy. Routing, content codings, multipart, cookies: anything that
// is not needed to tell where a message ends and what may follow it. Leniency: what
// two implementations might read in two ways is refused, unless a flag of Config,
// one for each such thing, says otherwise.
package h1
