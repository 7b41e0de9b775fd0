package server_test

import (
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	"postern/server"
)

// A small request over a socket and its answer allocate nothing in the engine, by
// readiness or by ordinary reads.
func TestMallocsOverSockets(t *testing.T) {
	if server.RaceEnabled {
		t.Skip("with the race detector pools lose things on purpose")
	}
	const requests, most = 100_000, 0.01 // mallocs for each
	_, ways := roads(t, func(*server.Request) server.Response { return server.Text("Hello, World!") }, server.Config{})
	for _, name := range []string{"tcp", "tcp, ordinary", "unix"} {
		way := ways[slices.IndexFunc(ways, func(r road) bool { return r.name == name })]
		c, _, err := way.dial()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		in, out := []byte(request), make([]byte, 4096)
		answer := 0 // bytes
		call := func() {
			if _, err := c.Write(in); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			n, err := c.Read(out)
			if answer == 0 {
				answer = n
			}
			if err == nil && n < answer {
				_, err = io.ReadFull(c, out[n:answer])
			}
			if err != nil || n > answer {
				t.Fatalf("%s: read %d bytes of %d, %v", name, n, answer, err)
			}
		}
		for range 1000 {
			call()
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		for range requests {
			call()
		}
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		each := float64(after.Mallocs-before.Mallocs) / requests
		t.Logf("%s: %.5f mallocs a request, %v", name, each, took/requests)
		if each >= most {
			t.Errorf("%s: %.5f mallocs a request, want fewer than %v", name, each, most)
		}
		c.Close()
	}
}
