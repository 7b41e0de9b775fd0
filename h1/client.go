package h1

// ClientConn is the client's side of one HTTP/1.x connection, without the
// connection: requests go out as bytes through Begin and the Append methods,
// responses come in as bytes through Next, and all input and output is the
// caller's. The zero value is ready for use with the strict default limits.
//
// Every request ends with AppendEnd (or BeginTrailer), also one without content.
// Responses come in the order of their requests. A response may be complete before
// its request is: finish the request or Abandon it.
//
// A ClientConn is not safe for concurrent use.
type ClientConn struct{ conn }

// Reset makes cl ready for a new connection and keeps its tables. A nil cfg means
// the strict defaults.
func (cl *ClientConn) Reset(cfg *Config) {
	cl.client = true
	cl.reset(cfg)
}

// Next is conn.Next, for the zero value too.
func (cl *ClientConn) Next(in []byte) (ev Event, n int, err error) {
	cl.client = true
	return cl.conn.Next(in)
}

// Response returns the head of the current response, final or interim, from
// EventResponse or EventInfo on, and is valid as long as Head says. Before that the
// head is empty.
func (cl *ClientConn) Response() *Head { return cl.message() }

// CanBegin reports whether the next request may begin now: the last is complete,
// the connection persists, and fewer than Config.MaxPending requests wait for
// their responses. Ask it when Next has seen all that was read: bytes that nobody
// asked for are found there, and would else be taken for the next answer. Nothing is sent behind an offer to switch protocols before it is
// answered (RFC 9110 7.8).
func (cl *ClientConn) CanBegin() bool {
	cl.client = true
	cl.ready()
	return cl.mayRequest() == 0
}

// Pending returns the number of requests, the one that is being written included,
// whose exchanges are not over. When the connection ends early, that many of the
// last requests are unanswered; the oldest may be answered in part.
func (cl *ClientConn) Pending() int { return cl.asked.len() }

// WantsContinue reports whether the request that is being written asked for an
// interim response before its content and none has come: wait for it, for a time
// of your choice, or for a final response, before AppendData (RFC 9110 10.1.1).
func (cl *ClientConn) WantsContinue() bool {
	return cl.expecting && cl.send == Body && !cl.out.started
}

// Abandon gives up the request that is being written, as after an early final
// response. The response can still be read; after it the connection closes. It
// fails with ErrState if no request is being written.
func (cl *ClientConn) Abandon() error {
	if cl.send != Body {
		return cl.misuse(ErrState)
	}
	move(&cl.send, onClose)
	cl.keepAlive, cl.lastOne = false, true
	if cl.recv == Done {
		cl.settle()
	}
	return nil
}

// State returns how far the client has come with its request and the server with
// its response.
func (cl *ClientConn) State() (client, server State) {
	cl.ready()
	return cl.send, cl.recv
}

// questions are the requests that wait for their responses, oldest first: what of
// each the reading of its response depends on.
type questions struct {
	facts  []facts
	infos  int    // interim responses to the oldest
	offers []byte // the protocols that the last offers, as a list; of a server, that were offered to it
}

type facts uint8

const (
	askedHead      facts = 1 << iota // HEAD: the response has no content
	askedTunnel                      // CONNECT
	offeredUpgrade                   // 101 may come
	offeredCoding                    // transfer codings other than chunked may come
	saidClose                        // the connection ends with the response
)

// reset forgets all, and keeps the memory.
func (q *questions) reset() { q.facts, q.infos, q.offers = q.facts[:0], 0, q.offers[:0] }

func (q *questions) len() int { return len(q.facts) }

func (q *questions) open() bool { return len(q.facts) > 0 }

// oldest returns the facts of the request that is being answered.
func (q *questions) oldest() facts { return q.facts[0] }

// blocking reports whether nothing may be sent behind the last request.
func (q *questions) blocking() bool {
	return len(q.facts) > 0 && q.facts[len(q.facts)-1]&(askedTunnel|offeredUpgrade|saidClose) != 0
}

// offered reports whether the last request offers a protocol.
func (q *questions) offered(protocol string) bool {
	for offer := range members(q.offers) {
		if equalFold(offer, protocol) {
			return true
		}
	}
	return false
}

func (q *questions) push(f facts) { q.facts = append(q.facts, f) }

func (q *questions) pop() {
	q.facts = q.facts[:copy(q.facts, q.facts[1:])]
	q.infos = 0
}
