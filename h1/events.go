package h1

// EventKind says what Next found.
type EventKind uint8

// The kinds of events. A request is the sequence Request, Data*, End; NeedData
// may come anywhere between them.
const (
	EventNeedData EventKind = iota // call again with more input, or after CloseInput
	EventPaused                    // the message ended; the next waits until the response has ended too
	EventRequest                   // a request's head is complete: ServerConn.Request
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

var eventNames = [...]string{"NeedData", "Paused", "Request", "Data", "End", "Closed", "Switched"}

// Event is one step of the protocol, reported by Next. It is a small value:
// heads are read through ServerConn.Request, trailer sections through Trailer.
type Event struct {
	Kind EventKind
	Data []byte // EventData only: content without its framing; aliases the input, never empty
}
