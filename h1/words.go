package h1

import "math/bits"

// Bytes eight at a time: a word holds those of b from i on, the first the lowest.
// What marks a byte in a word sets its high bit. Of the marks only the lowest
// counts: what is borrowed or carried there may set others above it.

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// lowestMark returns the index of the byte with the lowest mark, or 8.
func lowestMark(marks uint64) int { return bits.TrailingZeros64(marks&highs) / 8 }

// lastWords returns the sixteen bytes of b from i on, i > len(b)-16, with zeros
// for those behind its end. A zero is no part of a name, a target or a value: who
// looks for the end of one finds it in b or at len(b). b has sixteen bytes at least.
//
//go:noinline
func lastWords(b []byte, i int) (lo, hi uint64) {
	gone := 8 * uint(i+16-len(b)) // bits of the last sixteen bytes that stand before i
	lo, hi = load(b, len(b)-16), load(b, len(b)-8)
	if gone >= 64 {
		return hi >> (gone - 64), 0
	}
	return lo>>gone | hi<<1<<(63-gone), hi >> gone
}

// noText marks controls.
func noText(w uint64) uint64 {
	del := w ^ 0x7f*ones
	return ((w-0x20*ones)&^w | (del-ones)&^del) & highs
}

// noPrint marks what is neither SP nor VCHAR; its other bits mean nothing.
func noPrint(w uint64) uint64 { return (w - 0x20*ones) | (w + ones) }

// noTarget marks what no request-target has; its other bits mean nothing.
func noTarget(w uint64) uint64 { return (w - 0x21*ones) | (w + ones) | (w ^ '#'*ones - ones) }

// noPlain marks what is no letter, digit, "-" or ".", each of them and no others.
func noPlain(w uint64) uint64 {
	low := w &^ highs // so that nothing is carried
	folded := low | 0x20*ones
	letters := (folded + (0x80-'a')*ones) &^ (folded + (0x7f-'z')*ones)
	digits := (low + (0x80-'0')*ones) &^ (low + (0x7f-'9')*ones)
	others := (low + (0x80-'-')*ones) &^ (low + (0x7f-'.')*ones)
	return (^(letters | digits | others) | w) & highs
}

// firstBytes[n] masks the first n bytes of two words.
var firstBytes = func() (t [17]struct{ lo, hi uint64 }) {
	for n := range t {
		t[n].lo = 1<<(8*min(n, 8)) - 1
		t[n].hi = 1<<(8*max(n-8, 0)) - 1
	}
	return t
}()
