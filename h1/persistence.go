package h1

import (
	"bytes"
	"math/bits"
)

// connOptions is what the Connection lines of a head say, over all of them and
// in any case (RFC 9110 7.6.1).
type connOptions uint8

const (
	connClose connOptions = 1 << iota
	connKeepAlive
	connUpgrade
	connTE
)

// maxEmptyMembers is how many empty members the lists of one field may hold over
// all lines of a head: accepted in moderation, as RFC 9110 5.6.1.2 wants.
const maxEmptyMembers = 32

// lists are the fields that are read as lists of tokens.
const lists = 1<<FieldConnection | 1<<FieldUpgrade | 1<<FieldExpect | 1<<FieldTrailer

// listRules bounds the empty members of the lists that we read, and takes up what
// Connection says.
func (c *conn) listRules(h *Head) int {
	for todo := h.seen & lists; todo != 0; todo &= todo - 1 {
		id := FieldID(bits.TrailingZeros64(todo))
		first, last, empty := h.index(id), len(h.fields)-1, 0
		if h.again&(1<<id) == 0 {
			last = first
		}
		for i := first; i <= last; i++ {
			if h.fields[i].id != id {
				continue
			}
			v := h.value(i)
			if id == FieldConnection {
				if o := connOption(v); o != 0 { // alone, as it mostly is
					h.options |= o
					continue
				}
			}
			if len(v) > 0 {
				empty += 1 + bytes.Count(v, comma)
			}
			for m := range members(v) {
				empty--
				if id == FieldConnection {
					h.options |= connOption(m)
				}
			}
			if empty > maxEmptyMembers {
				return c.blame(ErrEmptyMembers, h, i)
			}
		}
	}
	return 0
}

var comma = []byte{','}

func connOption[B []byte | string](member B) connOptions {
	switch string(member) { // as it mostly is spelled
	case "close":
		return connClose
	case "keep-alive":
		return connKeepAlive
	}
	switch {
	case equalFold(member, "close"):
		return connClose
	case equalFold(member, "keep-alive"):
		return connKeepAlive
	case equalFold(member, "upgrade"):
		return connUpgrade
	case equalFold(member, "te"):
		return connTE
	}
	return 0
}

// DisableKeepAlive makes the next head that is written say close, as a graceful
// shutdown does; an exchange whose head is already out ends as it announced.
func (c *conn) DisableKeepAlive() { c.lastOne = true }

// ShouldClose reports whether the connection can do nothing more: its last
// response is complete, or it is broken off. Bytes that a server already produced
// are still to be sent; then close, in stages if ShouldLinger says so (RFC 9112
// 9.6).
func (c *conn) ShouldClose() bool {
	if c.client {
		return c.recv == Closed || c.recv == Failed || c.send == Failed
	}
	return c.send == Closed || c.send == Failed || c.recv == Failed && c.send != Idle
}

// ShouldLinger reports, to a server that should close, whether the client may still
// be sending bytes that nobody will read: its end has not been seen. Closing at once
// could then destroy our last response on its way (RFC 9112 9.6): half-close, read
// and discard for a while, then close.
func (c *conn) ShouldLinger() bool { return !c.client && c.ShouldClose() && !c.eof }

// Phase returns what the connection is waiting for.
func (c *conn) Phase() Phase {
	switch {
	case c.ShouldClose() || c.recv == Closed:
		return PhaseClosed
	case c.recv == Switched:
		return PhaseSwitched
	case c.recv == Failed || c.recv == Done:
		return PhaseRespond
	case c.recv == Body && c.send == Done && !c.client:
		return PhaseDrain
	case c.recv == Body:
		return PhaseBody
	case c.begun || c.asked.open():
		return PhaseHead
	}
	return PhaseIdle
}
