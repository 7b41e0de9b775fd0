package linear_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"postern/kvstore"
)

// patience is how long anything may take before a test calls it hung.
const patience = 50 * time.Second

var tables = []string{"t0", "t1", bankTable}

// phase is how the clients of one opening of the store come to their end.
type phase uint8

const (
	toTheEnd phase = iota // all do what they wanted, then Close
	closed                // Close comes while they run
	cut                   // the same with a context that has ended
	stopped               // a procedure stops the store
)

func TestLinearizable(t *testing.T) {
	for _, test := range []struct {
		name    string
		memory  bool
		clients int
		each    int // transactions a client and phase
		reads   int // of ten transactions that are a Get and nothing else
		phases  []phase
		o       kvstore.Options
	}{
		{name: "durable", clients: 16, each: 150, phases: []phase{toTheEnd}},
		{name: "many readers", clients: 32, each: 150, phases: []phase{toTheEnd}, o: kvstore.Options{Readers: 8}},
		{name: "no readers, small batches", clients: 8, each: 150, phases: []phase{toTheEnd},
			o: kvstore.Options{Readers: -1, MaxBatch: 2, QueueLen: -1}},
		{name: "buffered", clients: 16, each: 400, phases: []phase{toTheEnd}, o: kvstore.Options{Durability: kvstore.OSBuffered}},
		{name: "mostly reads", clients: 8, each: 3000, reads: 9, phases: []phase{toTheEnd}, o: kvstore.Options{Readers: 4}},
		{name: "mostly reads, buffered", clients: 8, each: 3000, reads: 9, phases: []phase{toTheEnd},
			o: kvstore.Options{Durability: kvstore.OSBuffered, Readers: 4, CheckpointPages: 500}},
		{name: "checkpoints", clients: 16, each: 150, phases: []phase{toTheEnd},
			o: kvstore.Options{Durability: kvstore.OSBuffered, CheckpointPages: 30, MaxBatch: 3}},
		{name: "memory", memory: true, clients: 16, each: 300, phases: []phase{toTheEnd}},
		{name: "reopened", clients: 16, each: 60, phases: []phase{toTheEnd, closed, cut, stopped, cut, stopped, closed, toTheEnd},
			o: kvstore.Options{CheckpointPages: 30, MaxBatch: 4, QueueLen: 4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHistory()
			test.o.Tables, test.o.Clock = kvstore.Tables(tables...), h.clock
			test.o.SweepEvery, test.o.OnPanic = -1, kvstore.FailCaller
			path := filepath.Join(t.TempDir(), "store.db")
			for i, end := range test.phases {
				open := func() (*kvstore.Store, error) { return kvstore.Open(path, test.o) }
				if test.memory {
					open = func() (*kvstore.Store, error) { return kvstore.OpenMemory(test.o) }
				}
				s, err := open()
				if err != nil {
					t.Fatal(err)
				}
				use(t, h, s, s, crowd{i * test.clients, test.clients, test.each, test.reads}, end)
			}
			check(t, h)
		})
	}
}

// crowd is the clients of one opening.
type crowd struct{ firstID, clients, each, reads int }

// use lets clients run against s, in whatever wrapping, and closes it.
func use(t *testing.T, h *history, s *kvstore.Store, wrapped store, who crowd, end phase) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, who.clients)
	for id := range who.clients {
		c := &client{h: h, s: wrapped, id: who.firstID + id, reads: who.reads, ctx: ctx, rng: rand.New(rand.NewPCG(rand.Uint64(), 0))}
		go func() { ended <- c.run(who.each, tables) }()
	}
	if end != toTheEnd {
		for len(ended) == 0 && s.Stats().Procedures < uint64(who.clients*who.each/4) {
			if err := s.View(ctx, func(*kvstore.ReadTx) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
		switch end {
		case stopped:
			cause := errors.New("stop")
			if err := s.Execute(ctx, func(*kvstore.Tx) error { return kvstore.Fatal(cause) }); !errors.Is(err, cause) {
				t.Errorf("stop: %v", err)
			}
		case cut:
			gone, cancel := context.WithCancel(ctx)
			cancel()
			s.Close(gone)
		}
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	for range who.clients {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("a client hangs")
		}
	}
	if err := s.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// verdict asks the checker about each table, and describes what it cannot explain.
func verdict(h *history) (result porcupine.CheckResult, unexplained string) {
	m := model.ToModel()
	for _, part := range model.Partition(h.operations) {
		r, info := porcupine.CheckOperationsVerbose(m, part, patience)
		if r != porcupine.Ok {
			return r, describe(part, info)
		}
	}
	return porcupine.Ok, ""
}

// check fails the test if nothing explains the history.
func check(t *testing.T, h *history) {
	t.Helper()
	result, unexplained := verdict(h)
	t.Logf("%d transactions answered, %d undone: %s", len(h.operations), h.undone, result)
	if result != porcupine.Ok {
		t.Errorf("the history is not linearizable (%s):%s", result, unexplained)
	}
}

// describe shows where the longest explanation of a part ends: the last transactions
// in it, and the earliest that it has no place for.
func describe(part []porcupine.Operation, info porcupine.LinearizationInfo) string {
	const shown = 4
	var longest []porcupine.Operation
	for _, partial := range info.PartialLinearizationsOperations()[0] {
		if len(partial) > len(longest) {
			longest = partial
		}
	}
	placed := map[int64]bool{}
	for _, o := range longest {
		placed[o.Call] = true
	}
	missing := slices.DeleteFunc(slices.Clone(part), func(o porcupine.Operation) bool { return placed[o.Call] })
	slices.SortFunc(missing, func(x, y porcupine.Operation) int { return int(x.Call - y.Call) })
	var b strings.Builder
	for _, o := range longest[max(0, len(longest)-shown):] {
		fmt.Fprintf(&b, "\n  placed   %d-%d %v", o.Call, o.Return, o.Input)
	}
	for _, o := range missing[:min(shown, len(missing))] {
		fmt.Fprintf(&b, "\n  no place %d-%d %v", o.Call, o.Return, o.Input)
	}
	return b.String()
}
