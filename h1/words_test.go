package h1

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// Each mark stands where the byte classes say, whatever stands around it: all
// values at all places, among bytes that borrow and carry.
func TestMarks(t *testing.T) {
	first := func(b [8]byte, taken func(byte) bool) int {
		for i := range b {
			if !taken(b[i]) {
				return i
			}
		}
		return 8
	}
	print := func(b byte) bool { return ' ' <= b && b <= '~' }
	plain := func(b byte) bool { return is(b, alpha|digit) || b == '-' || b == '.' }
	kinds := []struct {
		name  string
		marks func(uint64) uint64
		taken func(byte) bool
	}{
		{"noText", noText, func(b byte) bool { return is(b, text) && b != '\t' }},
		{"noPrint", noPrint, print},
		{"noTarget", noTarget, func(b byte) bool { return is(b, targetByte) }},
		{"noPlain", noPlain, plain},
	}
	edges := []byte{0, 1, '\t', '\r', 0x1f, ' ', '!', '"', '#', '$', ',', '-', '.', '/', '0', '9', ':', '@', 'A', 'Z', '[', '`', 'a', 'z', '{', '~', 0x7f, 0x80, 0x81, 0xa0, 0xfe, 0xff}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var b [8]byte
		for i := range b {
			b[i] = edges[r.IntN(len(edges))]
		}
		for at := range b {
			for v := range 256 {
				w := b
				w[at] = byte(v)
				word := load(w[:], 0)
				for _, k := range kinds {
					if got, want := lowestMark(k.marks(word)), first(w, k.taken); got != want {
						t.Fatalf("%s of %q: byte %d, want %d", k.name, w, got, want)
					}
				}
				exact := 0
				for i := range w {
					if !plain(w[i]) {
						exact++
					}
				}
				if got := bits.OnesCount64(noPlain(word)); got != exact {
					t.Fatalf("noPlain of %q: %d marks, want %d", w, got, exact)
				}
			}
		}
	}
}

func TestLastWords(t *testing.T) {
	b := make([]byte, 40)
	for i := range b {
		b[i] = byte(0x81 + i)
	}
	for n := 16; n <= len(b); n++ {
		for i := n - 15; i <= n; i++ {
			var want [16]byte
			copy(want[:], b[i:n])
			if lo, hi := lastWords(b[:n], i); lo != load(want[:], 0) || hi != load(want[:], 8) {
				t.Fatalf("from %d of %d: %x %x, want %x", i, n, lo, hi, want)
			}
		}
	}
}

// Each method is found by its hash, and nothing else is.
func TestMethodHash(t *testing.T) {
	for m := MethodGet; m < nMethods; m++ {
		if got := methodByHash[methodHash(methodWords[m])]; got != m {
			t.Errorf("%v is found as %v", m, got)
		}
	}
	for slot, m := range methodByHash {
		if m != MethodOther && methodHash(methodWords[m]) != uint64(slot) {
			t.Errorf("%v stands in place %d", m, slot)
		}
	}
}

// Only the name itself is recognised: no byte for another, none behind it.
func TestFieldOfOthers(t *testing.T) {
	for id := FieldID(1); id < nFields; id++ {
		name := []byte(id.String())
		if len(name) > 8*len(fieldKey{}) {
			t.Errorf("%s does not fit in its key", name)
		}
		for v := range 256 {
			if got := fieldOf(append(name[:len(name):len(name)], byte(v))); got != 0 {
				t.Errorf("%q and %#x are %v", name, v, got)
			}
			for at := range name {
				other := append([]byte(nil), name...)
				other[at] = byte(v)
				if got := fieldOf(other); (got == id) != equalFold(other, name) {
					t.Errorf("%q is %v", other, got)
				}
			}
		}
	}
}

// A byte that no host has is found at each place of a host of each length.
func TestHostBytes(t *testing.T) {
	for n := 1; n < 60; n++ {
		host := bytes.Repeat([]byte("a"), n)
		if _, ok := authority(host); !ok {
			t.Errorf("%q is no host", host)
		}
		for at := range host {
			for _, bad := range []byte("\x00 /?#@\\,\x7f\x80\xff") {
				host[at] = bad
				if _, ok := authority(host); ok {
					t.Errorf("%q is a host", host)
				}
			}
			host[at] = 'a'
		}
	}
}
