package h1

// EventKind says what Next found.
type EventKind uint8

// The kinds of events. A server sees each request as Request, Data*, End; a
// client each response as Info*, Response, Data*, End, or Info*, Response,
// Switched. NeedData may come anywhere between them.
const (
	EventNone     EventKind = iota // nothing: Next has returned an error
	EventNeedData                  // call again with more input, or after CloseInput
	EventPaused                    // the message ended; the next waits until ours has ended too
	EventRequest                   // a request's head is complete: ServerConn.Request
	EventInfo                      // an interim response, 1xx but 101: ClientConn.Response
	EventResponse                  // a final response's head is complete: ClientConn.Response
	EventData                      // content, decoded: Event.Data
	EventEnd                       // the message is complete; conn.Trailer holds its trailer section
	EventClosed                    // no message will follow; input is not looked at any more
	EventSwitched                  // the connection speaks another protocol: input is its first bytes
)

// String returns the kind's name without its prefix, such as "Request".
func (k EventKind) String() string {
	if int(k) >= len(eventNames) {
		return "EventKind(?)"
	}
	return eventNames[k]
}

var eventNames = [...]string{"None", "NeedData", "Paused", "Request", "Info", "Response", "Data", "End", "Closed", "Switched"}

// Event is one step of the protocol, reported by Next. It is a small value:
// heads are read through ServerConn.Request or ClientConn.Response, trailer
// sections through Trailer.
type Event struct {
	Kind  EventKind
	Flags EventFlags // EventData of a chunked message only
	Data  []byte     // EventData only: content without its framing; aliases the input, never empty
}

// EventFlags tell where in a chunk a piece of content stands (RFC 9112 7.1). They
// are for those who show or keep the chunks; content means the same without them.
type EventFlags uint8

// The flags of an event.
const (
	ChunkStart EventFlags = 1 << iota // the first bytes of a chunk
	ChunkEnd                          // the last bytes of a chunk
)
