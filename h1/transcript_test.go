package h1_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"postern/internal/h1test"
)

var update = flag.Bool("update", false, "rewrite what transcripts and generated documents say")

// TestTranscripts plays every transcript of testdata whole, byte by byte and cut
// at every point; the log may not depend on it.
func TestTranscripts(t *testing.T) {
	files, err := h1test.Load("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for file, cases := range files {
		for i := range cases {
			tr := &cases[i]
			t.Run(tr.Name, func(t *testing.T) { play(t, tr) })
		}
		if *update {
			if err := os.WriteFile(file, h1test.Format(cases), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func play(t *testing.T, tr *h1test.Transcript) {
	whole, err := tr.Run(h1test.Whole)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		tr.Want = whole
	}
	if !slices.Equal(whole, tr.Want) {
		t.Errorf("%s\n got:\n%s\nwant:\n%s", strings.Join(tr.Commands, "\n"), strings.Join(whole, "\n"), strings.Join(tr.Want, "\n"))
	}
	same := func(how string, cut func([]byte) [][]byte) {
		got, err := tr.Run(cut)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, whole) {
			t.Fatalf("%s, %s:\n%s\nwhole:\n%s", strings.Join(tr.Commands, "\n"), how, strings.Join(got, "\n"), strings.Join(whole, "\n"))
		}
	}
	same("byte by byte", h1test.Bytewise)
	for _, n := range []int{2, 3, 7, 8, 9, 64} {
		same("in pieces", h1test.Every(n))
	}
	if n := len(tr.Input()); n <= 4096 {
		for i := 1; i < n; i++ {
			same("cut once", h1test.At(i))
		}
	}
}
