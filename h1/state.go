package h1

// State is how far one side has come with the message it is sending. The table
// knows no role: requests and responses follow the same rules.
type State uint8

// The states of a side, in the order in which a message passes through them.
const (
	illegal  State = iota // absent from the table: not allowed here
	Idle                  // between messages; a head comes next
	Body                  // head complete; content, possibly none, follows
	Done                  // message complete; waiting for the other side
	Closed                // no more messages in this direction
	Failed                // broken off: what follows has no meaning
	Switched              // the connection speaks another protocol now
	nStates
)

type input uint8

// The inputs. Losing the connection between messages is onClose, inside one onFault.
const (
	onHead   input = iota // a final head was received or written
	onEnd                 // the message's last byte was received or written
	onNext                // the exchange is over and the connection persists
	onClose               // no message will follow on this side
	onFault               // malformed or truncated input, undeliverable output
	onSwitch              // 101, or 2xx to CONNECT, was received or written
	nInputs
)

// transitions is the whole machine. Only move assigns a State.
var transitions = [nStates][nInputs]State{
	Idle:     {onHead: Body, onClose: Closed, onFault: Failed, onSwitch: Switched},
	Body:     {onEnd: Done, onClose: Closed, onFault: Failed},
	Done:     {onNext: Idle, onClose: Closed, onFault: Failed, onSwitch: Switched},
	Closed:   {onClose: Closed, onFault: Failed},
	Failed:   {onClose: Failed, onFault: Failed},
	Switched: {onFault: Failed},
}

func move(s *State, in input) {
	next := transitions[*s][in]
	if next == illegal {
		panic("h1: " + s.String() + " has no transition " + inputNames[in])
	}
	*s = next
}

// settle couples the two sides; it runs whenever one of them reaches Done. A
// response that ends a connection ends it at once, whatever of the request is
// still unread (row 59); otherwise both sides must be Done before the next
// exchange starts (row 60).
func (c *conn) settle() {
	switch {
	case c.client:
		c.settleClient()
	case c.send == Done && !c.keepAlive:
		move(&c.send, onClose)
		move(&c.recv, onClose)
	case c.send == Done && c.recv == Done:
		move(&c.send, onNext)
		move(&c.recv, onNext)
		c.nextMessage()
	}
}

// settleClient is settle for a client. A response that ends the connection ends it
// whatever of the requests is unsent. An exchange is over when its response is
// complete and its request too; the next request may begin before that, while
// fewer are open than MaxPending.
func (c *conn) settleClient() {
	if c.recv == Done {
		if !c.keepAlive {
			c.asked.pop()
			move(&c.recv, onClose)
			move(&c.send, onClose)
			return
		}
		if c.send != Body || c.asked.len() > 1 {
			c.asked.pop()
			move(&c.recv, onNext)
			c.nextMessage()
		}
	}
	switch {
	case c.send != Done:
	case c.recv == Switched:
		move(&c.send, onSwitch)
	case c.asked.len() < c.cfg.MaxPending && !c.asked.blocking():
		move(&c.send, onNext)
	}
}

// String returns the state's name.
func (s State) String() string {
	if s >= nStates {
		return "State(?)"
	}
	return stateNames[s]
}

var (
	stateNames = [nStates]string{"illegal", "Idle", "Body", "Done", "Closed", "Failed", "Switched"}
	inputNames = [nInputs]string{"onHead", "onEnd", "onNext", "onClose", "onFault", "onSwitch"}
)

// Phase is what the connection is waiting for or doing: it tells a transport
// which of its timeouts applies. h1 has no clock of its own.
type Phase uint8

// The phases of an exchange.
const (
	PhaseIdle     Phase = iota // no byte of the next message has come
	PhaseHead                  // a head has begun and is not complete; for a client: a response is due
	PhaseBody                  // content of the peer's message is due
	PhaseRespond               // the peer's message is complete, ours is not
	PhaseDrain                 // server: the response is complete, the rest of the request is due
	PhaseClosed                // nothing more is due
	PhaseSwitched              // another protocol has its own phases
)

// String returns the phase's name without its prefix.
func (p Phase) String() string {
	if int(p) >= len(phaseNames) {
		return "Phase(?)"
	}
	return phaseNames[p]
}

var phaseNames = [...]string{"Idle", "Head", "Body", "Respond", "Drain", "Closed", "Switched"}
