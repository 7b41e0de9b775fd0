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
// nothing follows an error or a close, and what is forwarded once is forwarded the
// same again. The second argument draws the cuts, the third the limits.
func FuzzServer(f *testing.F) {
	seeds(f, func(in []byte) { f.Add(in, uint64(0x0807060504030201), false) })
	f.Fuzz(func(t *testing.T, in []byte, sizes uint64, small bool) {
		var cfg *h1.Config
		if small {
			cfg = &h1.Config{MaxTarget: 30, MaxHead: 250, MaxFields: 8, MaxTrailer: 60, MaxTrailerFields: 3,
				MaxChunkLine: 16, MaxChunkOverhead: 40, MaxBody: 150}
		}
		play := func(pieces [][]byte) []string { return h1test.Serve(t, cfg, pieces) }
		h1test.Split(t, play, in, h1test.Bytewise)
		h1test.Split(t, play, in, sized(sizes))
		h1test.ForwardRequests(t, cfg, in)
	})
}

// sized cuts a piece into pieces of 1 to 64 bytes, as the bytes of sizes say.
func sized(sizes uint64) func([]byte) [][]byte {
	return func(b []byte) (pieces [][]byte) {
		for s := sizes; len(b) > 0; s = s>>8 | s<<56 {
			n := min(1+int(s&0x3f), len(b))
			pieces, b = append(pieces, b[:n]), b[n:]
		}
		return pieces
	}
}

// FuzzClient holds any input to the laws as FuzzServer does, in a client that has
// asked what questions draws, and what is accepted without leniency must mean the
// same with it. flags draws limits, leniency and the kind of end.
func FuzzClient(f *testing.F) {
	seeds(f, func(in []byte) {
		f.Add(in, uint64(0x0807060504030201), uint32(0), uint8(0))
		f.Add(in, uint64(0x0807060504030201), uint32(0x01234567), uint8(0xfc))
	})
	f.Fuzz(func(t *testing.T, in []byte, sizes uint64, questions uint32, flags uint8) {
		asked := asked(questions)
		cfg := &h1.Config{}
		if flags&1 != 0 {
			cfg = &h1.Config{MaxHead: 100, MaxFields: 4, MaxTrailer: 60, MaxTrailerFields: 3,
				MaxChunkLine: 16, MaxChunkOverhead: 40, MaxBody: 150, MaxInfo: 2}
		}
		receive := func(cfg *h1.Config, pieces [][]byte) []string {
			return h1test.Receive(t, cfg, asked, flags&2 != 0, pieces)
		}
		lenient := *cfg
		lenient.LFResponses, lenient.CTLValues = flags&4 != 0, flags&8 != 0
		lenient.StripNameSpace, lenient.ChunkSizeSpace = flags&16 != 0, flags&32 != 0
		lenient.AcceptCLTE = flags&64 != 0
		h1test.Lenient(t, receive, cfg, &lenient, in)
		play := func(pieces [][]byte) []string { return receive(&lenient, pieces) }
		h1test.Split(t, play, in, h1test.Bytewise)
		h1test.Split(t, play, in, sized(sizes))
		h1test.ForwardResponses(t, &lenient, asked, in)
	})
}

// asked makes up to four questions of bits.
func asked(bits uint32) (all []h1test.Question) {
	for ; len(all) < 4; bits >>= 8 {
		all = append(all, h1test.Question{
			Method:  []string{"GET", "HEAD", "POST", "CONNECT"}[bits&3],
			Upgrade: bits&0x1c == 0x04, TECoding: bits&0x20 != 0, Close: bits&0xc0 == 0x40,
		})
		if bits>>8 == 0 {
			break
		}
	}
	return all
}

// FuzzPair lets bytes decide what a client and a server do and what arrives when:
// in the end they agree.
func FuzzPair(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x02\x00\x02\x01\x02\x05\x06\x3b\x06\x3b\x03\x01\x00\x00\x04\x00\x07\x3b\x01\x00"))
	f.Add([]byte("the quick brown fox jumps over the lazy dog, and again, and again, and again."))
	f.Fuzz(func(t *testing.T, choices []byte) {
		left := choices
		h1test.Agree(t, func(n int) int {
			if len(left) == 0 {
				return 0
			}
			b := left[0]
			left = left[1:]
			return int(b) % n
		}, min(len(choices)/3, 300))
	})
}
