package h1test

import "postern/h1"

// Feeder hands input to a connection in a way that punishes every liberty: the
// bytes stand in fresh memory at each call, and what the connection consumed is
// overwritten before the next.
type Feeder struct {
	pending []byte // not yet consumed
	loan    []byte // what the last call saw
	Total   int64  // bytes consumed
}

// Add appends input.
func (f *Feeder) Add(b []byte) { f.pending = append(f.pending, b...) }

// Left returns the number of bytes not consumed.
func (f *Feeder) Left() int { return len(f.pending) }

// Next calls c.Next with a copy of all pending input.
func (f *Feeder) Next(c Conn) (h1.Event, error) {
	if h := HeadOf(c); len(h.Raw()) > 0 {
		h.Rebase(append([]byte(nil), h.Raw()...))
	}
	if h := c.Trailer(); len(h.Raw()) > 0 {
		h.Rebase(append([]byte(nil), h.Raw()...))
	}
	for i := range f.loan {
		f.loan[i] = 0xAA
	}
	f.loan = append([]byte(nil), f.pending...)
	ev, n, err := c.Next(f.loan)
	f.pending = f.pending[n:]
	f.Total += int64(n)
	return ev, err
}

// Whole leaves a piece as it is.
func Whole(b []byte) [][]byte { return [][]byte{b} }

// Bytewise cuts a piece into single bytes.
func Bytewise(b []byte) [][]byte {
	pieces := make([][]byte, len(b))
	for i := range b {
		pieces[i] = b[i : i+1]
	}
	return pieces
}

// At cuts a piece in two, or leaves it whole if it is shorter.
func At(i int) func([]byte) [][]byte {
	return func(b []byte) [][]byte {
		if i <= 0 || i >= len(b) {
			return Whole(b)
		}
		return [][]byte{b[:i], b[i:]}
	}
}

// Every cuts a piece into pieces of n bytes.
func Every(n int) func([]byte) [][]byte {
	return func(b []byte) (pieces [][]byte) {
		for len(b) > n {
			pieces, b = append(pieces, b[:n]), b[n:]
		}
		return append(pieces, b)
	}
}
