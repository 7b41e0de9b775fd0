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
//			out, err = conn.AppendResponse(out, 200, "text/plain", body)
//		case ev.Kind == h1.EventNeedData:
//			// write out, move buf[r:w] to the front, read more behind it;
//			// at EOF call conn.CloseInput
//		}
//	}
//
// The example of ServerConn is this loop, complete.
//
// # Who owns the bytes
//
// The input belongs to the caller. h1 keeps no part of it, copies none and never
// writes to it; event data and the views of heads alias it, and are valid until
// the caller reuses the bytes. Output is appended to a slice of the caller's.
// Nothing is allocated per message.
//
// # What can be relied on
//
// How the input is cut into pieces changes nothing: not the events, not the
// error, not its offset. Every limit is exact. A call that fails for the caller's
// own fault leaves both the output and the connection as they were. An error of
// the peer is final, and after it exactly one response can be written.
//
// # What is left out on purpose
//
// Timeouts, since they need a clock; Phase tells what to time. Date and Server,
// which are policy. Routing, content codings, multipart, cookies: anything that
// is not needed to tell where a message ends and what may follow it. Leniency: a
// request that two implementations might read in two ways is refused.
package h1
