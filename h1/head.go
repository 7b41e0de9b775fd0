package h1

import "iter"

// Version is an HTTP version as far as it matters here: 1.2 to 1.9 count as 1.1
// (RFC 9110 2.5).
type Version uint8

// The versions that h1 speaks.
const (
	HTTP10 Version = 10
	HTTP11 Version = 11
)

// String returns the HTTP-version, such as "HTTP/1.1".
func (v Version) String() string {
	switch v {
	case HTTP10:
		return "HTTP/1.0"
	case HTTP11:
		return "HTTP/1.1"
	}
	return "HTTP/?"
}

// Head is a read-only view of a message's start-line and field lines, or of a
// trailer section. It is a table of offsets into the bytes that the caller handed
// to Next: nothing is copied, and order, case and every byte are kept.
//
// All []byte results alias those bytes. They are valid until the caller reuses
// them, and the Head itself until the connection reads its next head; Clone keeps
// one for longer. If the bytes move, call Rebase.
type Head struct {
	raw    []byte // from the start-line to the blank line, both included
	fields []field
	first  [64]uint8 // index+1 of a field's first line, where seen says so; 255: search
	seen   uint64    // bit id: the field occurs
	again  uint64    // bit id: it occurs more than once

	line    startLine
	length  int64 // Content-Length, or -1
	framing Framing
	options connOptions
}

// field locates one field line in Head.raw. It holds no pointer: the collector
// does not scan the table and filling it needs no write barrier.
type field struct {
	nameOff, valOff, valLen uint32
	nameLen                 uint16
	id                      FieldID
}

// startLine locates the parts of a request-line or a status-line.
type startLine struct {
	targetOff, targetLen uint32 // in a status-line: the reason
	authOff, authLen     uint32 // the authority inside the target, if it has one
	methodLen            uint16
	status               uint16 // of a response; its reason ends the line
	method               Method
	form                 Form
	version              Version
}

// noHead is what there is to see of a head or trailer section that is incomplete.
// It is shared, and nothing writes to it.
var noHead = Head{length: -1}

func (h *Head) reset() {
	h.raw, h.fields, h.seen, h.again = nil, h.fields[:0], 0, 0
	h.line, h.length, h.framing, h.options = startLine{}, -1, FramingNone, 0
}

// add adds a field line.
func (h *Head) add(f field) {
	h.fields = append(h.fields, f)
	h.note(f.id, len(h.fields))
}

// note notes that field line number n, counted from one, is an id.
func (h *Head) note(id FieldID, n int) {
	bit := uint64(1) << (id % 64) &^ 1
	if h.seen&bit == 0 { // also for unknown fields: a branch that is always taken costs nothing
		h.seen |= bit
		h.first[id%64] = uint8(min(n, 255))
	} else {
		h.again |= bit
	}
}

// noteFrom notes the field lines from number i on, counted from zero.
func (h *Head) noteFrom(i int) {
	if fields := h.fields; i == 0 && len(fields) <= 255 {
		seen, again := uint64(0), uint64(0)
		for n := len(fields); n > 0; n-- { // backwards, so that the first is what stays
			id := fields[n-1].id % 64
			again |= seen & (1 << id)
			seen |= 1 << id
			h.first[id] = uint8(n)
		}
		h.seen, h.again = seen&^1, again&^1
		return
	}
	for ; i < len(h.fields); i++ {
		h.note(h.fields[i].id, i+1)
	}
}

// Method returns the request's method, or MethodOther for one without a constant.
func (h *Head) Method() Method { return h.line.method }

// MethodBytes returns the method as it was sent (RFC 9112 3.1).
func (h *Head) MethodBytes() []byte { return h.raw[:h.line.methodLen] }

// MethodIs reports whether the method is m; methods are case-sensitive.
func (h *Head) MethodIs(m string) bool { return string(h.MethodBytes()) == m }

// Target returns the request-target as it was sent (RFC 9112 3.2).
func (h *Head) Target() []byte {
	if h.line.status != 0 {
		return nil
	}
	return h.at(h.line.targetOff, h.line.targetLen)
}

// Status returns the response's status code, 100 to 999, and 0 for a request (RFC
// 9112 4). One without a meaning known here counts as the x00 of its class (RFC
// 9110 15).
func (h *Head) Status() int { return int(h.line.status) }

// Reason returns the response's reason phrase, which says nothing that Status does
// not, and may be empty (RFC 9112 4).
func (h *Head) Reason() []byte {
	if h.line.status == 0 {
		return nil
	}
	return h.at(h.line.targetOff, h.line.targetLen)
}

// TargetForm returns which of the four forms the request-target has.
func (h *Head) TargetForm() Form { return h.line.form }

// Authority returns what the request is addressed to: the authority of an
// absolute-form or authority-form target, else the value of Host (RFC 9112 3.3).
// It may be empty.
func (h *Head) Authority() []byte {
	if h.line.authLen > 0 {
		return h.at(h.line.authOff, h.line.authLen)
	}
	v, _ := h.Get(FieldHost)
	return v
}

// HostMismatch reports whether the target carries an authority that differs from
// the Host field, without regard to case. The target's counts (RFC 9112 3.2.2).
func (h *Head) HostMismatch() bool {
	v, ok := h.Get(FieldHost)
	return ok && h.line.authLen > 0 && !equalFold(h.at(h.line.authOff, h.line.authLen), v)
}

// Version returns the message's HTTP-version.
func (h *Head) Version() Version { return h.line.version }

// ContentLength returns the value of Content-Length in bytes and whether there
// is one (RFC 9110 8.6).
func (h *Head) ContentLength() (int64, bool) { return max(h.length, 0), h.length >= 0 }

// Framing returns how the content's end is found (RFC 9112 6.3).
func (h *Head) Framing() Framing { return h.framing }

// NoBody reports whether the message certainly has no content.
func (h *Head) NoBody() bool {
	return h.framing == FramingNone || h.framing == FramingLength && h.length == 0
}

// KeepAlive reports whether this head lets the connection persist (RFC 9112 9.3).
func (h *Head) KeepAlive() bool {
	return h.options&connClose == 0 && (h.line.version == HTTP11 || h.options&connKeepAlive != 0)
}

// Len returns the number of field lines.
func (h *Head) Len() int { return len(h.fields) }

// At returns the name and the value of field line i, counted from zero, the
// value without surrounding whitespace.
func (h *Head) At(i int) (name, value []byte) {
	f := &h.fields[i]
	return h.at(f.nameOff, uint32(f.nameLen)), h.at(f.valOff, f.valLen)
}

// ID returns which recognised field line i is, or zero.
func (h *Head) ID(i int) FieldID { return h.fields[i].id }

// All yields every field line's name and value, in the order of the message.
func (h *Head) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for i := range h.fields {
			if !yield(h.At(i)) {
				return
			}
		}
	}
}

// Get returns the value of a field's first line and whether there is one.
func (h *Head) Get(id FieldID) ([]byte, bool) {
	if i := h.index(id); i >= 0 {
		_, v := h.At(i)
		return v, true
	}
	return nil, false
}

// Values yields the value of every line of a field, in order.
func (h *Head) Values(id FieldID) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		i := h.index(id)
		if i < 0 {
			return
		}
		for ; i < len(h.fields); i++ {
			if h.fields[i].id != id {
				continue
			}
			if _, v := h.At(i); !yield(v) {
				return
			}
		}
	}
}

// Lookup returns the value of the first line with that name, in any case, and
// whether there is one. Get is faster for a recognised field.
func (h *Head) Lookup(name string) ([]byte, bool) {
	if id := fieldOf(name); id != 0 {
		return h.Get(id)
	}
	for i := range h.fields {
		if int(h.fields[i].nameLen) != len(name) || h.fields[i].id != 0 {
			continue
		}
		if n, v := h.At(i); equalFold(n, name) {
			return v, true
		}
	}
	return nil, false
}

// HasToken reports whether a field, over all its lines, lists the token in any
// case (RFC 9110 5.6.1).
func (h *Head) HasToken(id FieldID, token string) bool {
	for v := range h.Values(id) {
		for member := range members(v) {
			if equalFold(member, token) {
				return true
			}
		}
	}
	return false
}

// HopByHop reports whether field line i is meant for this connection alone: a
// proxy does not forward it (RFC 9110 7.6.1). Those are the lines that Connection
// names, Connection itself, and what is known to be forgotten there. Host and
// Content-Length are for every recipient, whatever Connection says.
func (h *Head) HopByHop(i int) bool {
	switch h.fields[i].id {
	case FieldConnection, FieldKeepAlive, FieldProxyConnection, FieldTE, FieldTransferEncoding, FieldUpgrade:
		return true
	case FieldHost, FieldContentLength:
		return false
	}
	if h.index(FieldConnection) < 0 {
		return false
	}
	name, _ := h.At(i)
	for v := range h.Values(FieldConnection) {
		for member := range members(v) {
			if equalFold(member, name) {
				return true
			}
		}
	}
	return false
}

// Raw returns the head's bytes, from its start-line to its blank line.
func (h *Head) Raw() []byte { return h.raw }

// Rebase tells the head that its bytes now stand at raw, which must equal Raw.
func (h *Head) Rebase(raw []byte) {
	if len(h.raw) > 0 {
		h.raw = raw[:len(h.raw):len(h.raw)]
	}
}

// Clone returns a head with its own copy of the bytes, valid for ever.
func (h *Head) Clone() *Head {
	c := *h
	c.raw = append([]byte(nil), h.raw...)
	c.fields = append([]field(nil), h.fields...)
	return &c
}

func (h *Head) index(id FieldID) int {
	if id == 0 || id >= nFields || h.seen&(1<<id) == 0 {
		return -1
	}
	if i := h.first[id]; i < 255 {
		return int(i) - 1
	}
	for i := 254; i < len(h.fields); i++ {
		if h.fields[i].id == id {
			return i
		}
	}
	return -1
}

func (h *Head) value(i int) []byte { return h.at(h.fields[i].valOff, h.fields[i].valLen) }

func (h *Head) at(off, n uint32) []byte { return h.raw[off : off+n : off+n] }
