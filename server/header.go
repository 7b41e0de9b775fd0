package server

import (
	"iter"

	"postern/h1"
)

// Header is a view of a request's field lines, in the order and spelling in which
// they came. It is valid as long as its Request; strings are copies and safe to
// keep, byte slices are not.
type Header struct{ head *h1.Head }

// Get returns the value of the first line with that name, in any case, or "".
func (h Header) Get(name string) string { return string(h.GetBytes(name)) }

// GetBytes is Get without a copy: the result aliases the connection's buffer.
func (h Header) GetBytes(name string) []byte {
	v, _ := h.head.Lookup(name)
	return v
}

// Has reports whether there is a line with that name.
func (h Header) Has(name string) bool {
	_, ok := h.head.Lookup(name)
	return ok
}

// HasToken reports whether the lines of a list field such as Accept-Encoding,
// taken together, hold a member in any case (RFC 9110 5.6.1).
func (h Header) HasToken(field h1.FieldID, token string) bool {
	return h.head.HasToken(field, token)
}

// Values yields the value of every line with that name, in order.
func (h Header) Values(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for n, v := range h.head.All() {
			if equalFold(n, name) && !yield(string(v)) {
				return
			}
		}
	}
}

// All yields every line's name and value.
func (h Header) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for n, v := range h.head.All() {
			if !yield(string(n), string(v)) {
				return
			}
		}
	}
}

// Len returns the number of lines.
func (h Header) Len() int { return h.head.Len() }

// Head returns the protocol core's own view.
func (h Header) Head() *h1.Head { return h.head }

func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, x := range b {
		y := s[i]
		if x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}
