package h1_test

import (
	"testing"

	"pgregory.net/rapid"

	"postern/h1"
	"postern/internal/h1test"
)

func TestReadAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h1test.ReadAnswers(t, h1test.Conversations().Draw(t, "answers"))
	})
}

func conversation(t *rapid.T) (questions []h1test.Question, in []byte) {
	for _, a := range h1test.Conversations().Draw(t, "answers") {
		questions = append(questions, a.Question)
		in = append(in, a.Bytes...)
	}
	return questions, in
}

func TestSplitResponses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		questions, in := conversation(t)
		in = h1test.Mutate(t, in)
		q := &questions[len(questions)-1]
		q.Upgrade, q.TECoding, q.Close = rapid.Bool().Draw(t, "upgrade"), rapid.Bool().Draw(t, "te"), rapid.Bool().Draw(t, "close")
		cfg := *rapid.SampledFrom([]*h1.Config{{}, small}).Draw(t, "limits")
		lenient(t, &cfg)
		broken := rapid.Bool().Draw(t, "broken")
		play := func(pieces [][]byte) []string { return h1test.Receive(t, &cfg, questions, broken, pieces) }
		h1test.Split(t, play, in, h1test.Bytewise)
		h1test.Split(t, play, in, h1test.Cuts(t))
	})
}

// lenient sets some of the flags.
func lenient(t *rapid.T, cfg *h1.Config) {
	for _, flag := range []*bool{&cfg.LFResponses, &cfg.CTLValues, &cfg.StripNameSpace, &cfg.ChunkSizeSpace, &cfg.FoldRequests, &cfg.AcceptCLTE} {
		*flag = rapid.Bool().Draw(t, "flag")
	}
}

func TestLenientAcceptsWhatStrictDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var cfg h1.Config
		lenient(t, &cfg)
		questions, in := conversation(t)
		receive := func(cfg *h1.Config, pieces [][]byte) []string {
			return h1test.Receive(t, cfg, questions, false, pieces)
		}
		h1test.Lenient(t, receive, nil, &cfg, h1test.Mutate(t, in))

		serve := func(cfg *h1.Config, pieces [][]byte) []string { return h1test.Serve(t, cfg, pieces) }
		h1test.Lenient(t, serve, nil, &cfg, h1test.Mutate(t, h1test.Requests().Draw(t, "request").Bytes))
	})
}

// A prefix of a response is never taken for a response, unless its content ends
// with the connection.
func TestTruncatedResponse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := h1test.Answers(true).Draw(t, "answer")
		in := a.Bytes[:rapid.IntRange(0, len(a.Bytes)-1).Draw(t, "length")]
		log := h1test.Receive(t, nil, []h1test.Question{a.Question}, !a.ToClose || rapid.Bool().Draw(t, "broken"), h1test.Whole(in))
		for _, line := range log {
			if line == "end" && !a.ToClose {
				t.Fatalf("%q ended:\n%q", in, log)
			}
		}
	})
}
