package h1

import (
	"encoding/binary"
	"iter"
	"math/bits"
)

// Byte classes of RFC 9110 5.6 and RFC 3986, one bit each.
const (
	tchar      uint8 = 1 << iota // token: "!#$%&'*+-.^_`|~", DIGIT, ALPHA
	text                         // field-content: HTAB, SP, VCHAR, obs-text
	targetByte                   // request-target: VCHAR but "#" (row 12)
	regName                      // reg-name without pct-encoded and without ","
	hexDig                       // HEXDIG, both cases
	qdtext                       // inside a quoted-string, unescaped
	digit                        // DIGIT
	alpha                        // ALPHA
)

var class = func() (t [256]uint8) {
	set := func(bits uint8, bytes string) {
		for i := range len(bytes) {
			t[bytes[i]] |= bits
		}
	}
	const (
		digits  = "0123456789"
		letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	)
	set(digit, digits)
	set(alpha, letters)
	set(hexDig, digits+"ABCDEFabcdef")
	set(tchar, "!#$%&'*+-.^_`|~"+digits+letters)
	set(regName, "-._~!$&'()*+;="+digits+letters)
	for b := 0x21; b <= 0x7e; b++ {
		t[b] |= targetByte | text | qdtext
	}
	for b := 0x80; b <= 0xff; b++ {
		t[b] |= text | qdtext
	}
	set(text|qdtext, "\t ")
	t['#'] &^= targetByte
	t['"'] &^= qdtext
	t['\\'] &^= qdtext
	return t
}()

func is(b byte, bits uint8) bool { return class[b]&bits != 0 }

// span returns the index of the first byte of b at or after i that is not in the
// class, or len(b).
func span(b []byte, i int, bits uint8) int {
	for i < len(b) && class[b[i]]&bits != 0 {
		i++
	}
	return i
}

// skipText returns the index of the first byte of b at or after i that is no
// field text (a control other than HTAB), or len(b). It looks at sixteen bytes at
// a time.
func skipText(b []byte, i int) int {
	for i+16 <= len(b) {
		p := b[i : i+16 : i+16]
		lo, hi := noText(binary.LittleEndian.Uint64(p)), noText(binary.LittleEndian.Uint64(p[8:]))
		switch {
		case lo != 0:
			i += bits.TrailingZeros64(lo) / 8
		case hi != 0:
			i += 8 + bits.TrailingZeros64(hi)/8
		default:
			i += 16
			continue
		}
		if b[i] != '\t' {
			return i
		}
		i++
	}
	return span(b, i, text)
}

// skipBlank returns the index of the first byte of b at or after i that is neither
// SP nor HTAB, or len(b).
func skipBlank[B []byte | string](b B, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// trimOWS returns the bounds of b[i:j] without surrounding SP and HTAB (RFC 9110
// 5.6.3); no other byte, however blank it looks in some charset, is trimmed.
func trimOWS[B []byte | string](b B, i, j int) (int, int) {
	i = skipBlank(b[:j], i)
	for i < j && (b[j-1] == ' ' || b[j-1] == '\t') {
		j--
	}
	return i, j
}

// equalFold reports whether b and s are equal without regard to ASCII case.
func equalFold[B, S []byte | string](b B, s S) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range len(b) {
		if x, y := b[i], s[i]; x != y && lower(x) != lower(y) {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		b |= 0x20
	}
	return b
}

// members yields the non-empty members of a comma-separated list (RFC 9110
// 5.6.1), trimmed. It knows no quoted strings: the lists read with it hold tokens.
func members[B []byte | string](v B) iter.Seq[B] {
	return func(yield func(B) bool) {
		for start := 0; start <= len(v); {
			end := start
			for end < len(v) && v[end] != ',' {
				end++
			}
			if i, j := trimOWS(v, start, end); i < j && !yield(v[i:j]) {
				return
			}
			start = end + 1
		}
	}
}
