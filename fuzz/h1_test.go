package fuzz_test

import (
	"testing"

	"postern/h1"
	"postern/internal/h1test"
)

// seeds adds every input of h1's transcripts.
func seeds(f *testing.F, add func(in []byte)) {
	files, err := h1test.Load("../h1/testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, cases := range files {
		for i := range cases {
			add(cases[i].Input())
		}
	}
}

// FuzzServer holds any input to the laws: where it is cut changes nothing, every
// byte is accounted for, events form sentences, an accepted head has one framing,
// and nothing follows an error or a close. The second argument draws the cuts, the
// third the limits.
func FuzzServer(f *testing.F) {
	seeds(f, func(in []byte) { f.Add(in, uint64(0x0807060504030201), false) })
	f.Fuzz(func(t *testing.T, in []byte, sizes uint64, small bool) {
		var cfg *h1.Config
		if small {
			cfg = &h1.Config{MaxTarget: 30, MaxHead: 250, MaxFields: 8, MaxTrailer: 60, MaxTrailerFields: 3,
				MaxChunkLine: 16, MaxChunkOverhead: 40, MaxBody: 150}
		}
		h1test.Split(t, cfg, in, h1test.Bytewise)
		h1test.Split(t, cfg, in, func(b []byte) (pieces [][]byte) {
			for s := sizes; len(b) > 0; s = s>>8 | s<<56 {
				n := min(1+int(s&0x3f), len(b))
				pieces, b = append(pieces, b[:n]), b[n:]
			}
			return pieces
		})
	})
}
