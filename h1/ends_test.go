package h1

import (
	"math/rand/v2"
	"testing"
)

// Ends are found where the byte classes say, in lines of every length, whatever
// stands around them.
func TestLineEnds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	print := func(b byte) bool { return ' ' <= b && b <= '~' }
	for size := range 1500 {
		in := make([]byte, 16+size)
		rare := 1 + r.IntN(300)
		for i := range in {
			in[i] = byte(' ' + r.IntN('~'-' '+1))
			if r.IntN(rare) == 0 {
				in[i] = byte(r.Uint32())
			}
		}
		for start := range 20 {
			ends := newLineEnds(in, start)
			for i := min(start, len(in)); ; {
				want := i
				for want < len(in) && print(in[want]) {
					want++
				}
				got, found := ends.near(i)
				if found == 0 {
					got = ends.far(i)
				}
				if got != want {
					t.Fatalf("%q from %d on: %d, want %d", in, i, got, want)
				}
				if want == len(in) {
					break
				}
				if i = want + 1 + r.IntN(2); i > len(in) {
					break
				}
			}
		}
	}
}
