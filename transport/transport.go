// Package transport holds the words that transports and engines share.
//
// A transport moves bytes and knows nothing of what they mean: transport/tcp
// and transport/unix listen and dial with the options of their sockets,
// transport/memory does the same without a socket. Whoever serves a connection
// implements Pump, once, and is driven through it: bytes in, bytes out, and a
// word on what comes next. Listener carries any net.Listener through the accept
// errors that pass.
package transport

import "net"

// Next is what a Pump wants done after its output has been written.
type Next uint8

const (
	// Park asks for nothing until the peer sends more: everything read has been
	// used, or waits for bytes that are not here yet.
	Park Next = iota
	// More asks for another Step at once, with 0 new bytes: there is more to
	// answer from what was read, but what came out so far goes first.
	More
	// Leave hands the connection back to its owner, who goes on with ordinary
	// reads and writes. The connection may be driven again afterwards.
	Leave
	// Close ends the connection: once the output is written, nothing more is
	// read and nothing more is sent.
	Close
)

// A Pump is the engine's side of one connection. The driver reads into Buffer,
// calls Step with the number of bytes read, writes what Step returned, all of
// it, and does what Next says. One goroutine drives a Pump at a time, and the
// calls come in that order: a Pump needs no lock of its own.
//
// Any driver will do: the example is a loop of ordinary Read and Write calls.
type Pump interface {
	// Buffer returns where to read, never empty. The slice belongs to the engine:
	// the driver borrows it from this call to the next Step and keeps no
	// part of it. An engine may therefore find the memory only now, and give it
	// back in Step when nothing is left over, so a parked connection holds none.
	Buffer() []byte

	// Step takes the first n bytes of Buffer as what the peer sent next. n is 0
	// after More, when nothing was read, and -1 when nothing more will come: the
	// peer finished sending, or reading failed. The driver writes out before it
	// does anything else; out belongs to the engine and is valid until the next
	// call of Buffer or Step. A Step after -1 may still answer: the peer may only
	// have finished sending.
	Step(n int) (out []byte, next Next)
}

// A Pumper is a connection that can drive a Pump by readiness: it reads when bytes
// are there, writes at once, and waits with nothing borrowed. The ordinary methods
// of a connection do the same at a higher price.
type Pumper interface {
	net.Conn

	// Pump drives p, beginning with Step(0), for as long as that asks for Park or
	// More, and returns what else it asked for, Leave or Close, or Park if Wake
	// was called. What the peer does not take at once is handed to slow, which
	// writes it with Write, for as long as it thinks right; after an error of it the
	// result is Close. An empty rest is to be written, too: the connection has
	// something of its own to write with it.
	//
	// Pump is one goroutine's at a time. It takes a read deadline away. While it
	// goes on, Read must not be called; Write may be, from within Step too, and
	// Close cuts the connection and leaves the rest to the end of Pump.
	Pump(p Pump, slow func(rest []byte) error) Next

	// Rest waits until Pump would find something to do, or Wake is called. It takes
	// as little of the stack as can be: a goroutine that is begun to rest on stays
	// the smallest there is, while one that has pumped keeps the stack of its
	// deepest handler. What holds for Pump holds for Rest.
	Rest()

	// Wake ends a Pump or a Rest that waits, or the next one as soon as it would
	// wait. It does not disturb a Step that goes on. It may be called at any time,
	// also when the connection is closed.
	Wake()
}

// PumperOf returns conn as a Pumper, or nil if it cannot drive. A connection around
// another one that can only sometimes says so by a method Pumper() Pumper, which
// returns nil when it cannot.
func PumperOf(conn net.Conn) Pumper {
	switch c := conn.(type) {
	case Pumper:
		return c
	case interface{ Pumper() Pumper }:
		return c.Pumper()
	}
	return nil
}

// A Watcher is a connection that can tell when its peer goes away while nobody
// reads.
type Watcher interface {
	// Watch calls gone, on a goroutine of the transport's, when the peer has
	// finished sending, and perhaps once more when the connection is broken, which
	// is what reset says: it may have been reset, or closed on both sides. If that
	// has happened already gone is called before Watch returns. gone must not
	// block. It replaces the one of an earlier call; nil is none.
	Watch(gone func(reset bool)) error
}
