package server

import (
	"log/slog"
	"testing"
	"time"

	"postern/transport"
)

func countingByHand(h Handler) *conn {
	s := New(h, Config{Log: slog.New(slog.DiscardHandler), Metrics: true, Limits: Limits{MaxInFlight: 10, HandlerTimeout: time.Hour}})
	return newConn(&listener{Listener: Listener{Listener: nowhere{}, Handler: h, Name: "test"}, srv: s, limits: s.limits, gate: s.gate}, silent{})
}

// Metrics, slots and a handler's time allocate nothing either.
func TestNoAllocationsWhenCounting(t *testing.T) {
	for name, in := range smallRequests {
		c := countingByHand(plainHandler)
		if n := testing.AllocsPerRun(1000, func() {
			n := copy(c.Buffer(), in)
			for next := transport.More; next == transport.More; n = 0 {
				_, next = c.Step(n)
			}
		}); n != 0 && !raceEnabled { // with the race detector pools lose things on purpose
			t.Errorf("%s: %v allocations", name, n)
		}
		if m := c.srv.Metrics(); m.Statuses[2] < 1000 || m.InFlight != 0 {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func BenchmarkStepCounting(b *testing.B) {
	c := countingByHand(plainHandler)
	b.ReportAllocs()
	for b.Loop() {
		n := copy(c.Buffer(), smallRequests["get"])
		for next := transport.More; next == transport.More; n = 0 {
			_, next = c.Step(n)
		}
	}
}
