package h1

import "math/bits"

// lineEnds finds where lines of SP and VCHAR end. Where the processor marks bytes
// faster than we look at words, it has those of a window marked that starts at base.
type lineEnds struct {
	in    []byte
	base  int
	marks lineMarks
}

// markWindow is how many bytes are marked at a time: fifteen words.
const markWindow = 15 * 64

// lineMarks are a bit set, a bit a byte and the first the lowest, of a window, and
// zeros up to where near may look.
type lineMarks [128 + 16]byte

// newLineEnds returns the ends of in, which has sixteen bytes at least, from i on.
func newLineEnds(in []byte, i int) lineEnds { return lineEnds{in: in, base: i - markWindow} }

// near returns the place of the first byte from i on that is neither SP nor VCHAR, if
// its mark is one of the next 121: else found is zero, and far tells. A line's end
// cannot be foretold, and a branch that is foretold wrongly costs as much as fifty
// instructions: here is none. It wants an i behind what was returned last, and no more
// than two bytes.
func (l *lineEnds) near(i int) (end int, found uint64) {
	at := i - l.base
	next := load(l.marks[:], at>>3&127+8)
	found = load(l.marks[:], at>>3&127) >> (at & 7)
	end = bits.TrailingZeros64(found) // 64 is none: then next counts
	return i + end + (bits.TrailingZeros64(next)-at&7)&-(end>>6), found | next
}

// far returns the place of the first byte from i on that is neither SP nor VCHAR, or
// len(in). It wants no i less than one before.
//
//go:noinline
func (l *lineEnds) far(i int) int {
	b := l.in
	if marking && len(b) >= 64 {
		end := l.first((i-l.base)/8 + 16)
		for ; end < 0 && i < len(b); i += markWindow {
			l.base = i
			clear(l.marks[:])
			markBytes(&l.marks, b, i)
			end = l.first(0)
		}
		if end < 0 {
			return len(b)
		}
		return end
	}
	for ; i+16 <= len(b); i += 16 {
		lo, hi := noPrint(load(b, i)), noPrint(load(b, i+8))
		if (lo|hi)&highs != 0 {
			n := lowestMark(lo)
			return i + n + lowestMark(hi)&-(n/8)
		}
	}
	lo, hi := lastWords(b, i)
	n := lowestMark(noPrint(lo))
	n += lowestMark(noPrint(hi)) & -(n / 8)
	return min(i+n, len(b))
}

// first returns the place of the first mark from byte k of the set on, or -1.
func (l *lineEnds) first(k int) int {
	for ; k < markWindow/8; k += 8 {
		if w := load(l.marks[:], k); w != 0 {
			return l.base + 8*k + bits.TrailingZeros64(w)
		}
	}
	return -1
}
