package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
	"postern/transport/memory"
)

// Run serves until its context ends and then lets exchanges end.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := memory.Listen(memory.Config{}), memory.Listen(memory.Config{})
		s := server.New(app, server.Config{Log: quiet()})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx, one, two) }()
		for _, ln := range []*memory.Listener{one, two} {
			c, err := ln.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if out := talk(t, c, request); !strings.HasPrefix(out, "HTTP/1.1 200 OK\r\n") {
				t.Errorf("got %q", out)
			}
			c.Close()
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// A listener that fails ends Run, and says why.
func TestRunFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := memory.Listen(memory.Config{}), memory.Listen(memory.Config{})
		s := server.New(app, server.Config{Log: quiet()})
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context(), one, two) }()
		synctest.Wait()
		two.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Run: %v", err)
		}
		if _, err := one.Dial(t.Context()); err == nil {
			t.Error("the other listener is still open")
		}
	})
}

// An exchange that outlasts the grace is cut, and Run says so.
func TestRunCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := memory.Listen(memory.Config{})
		s := server.New(func(r *server.Request) server.Response {
			<-r.Context().Done()
			return server.Empty(204)
		}, server.Config{Log: quiet(), ShutdownGrace: 3 * time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx, ln) }()
		c, err := ln.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, request)
		synctest.Wait()
		cancel()
		began := time.Now()
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "cut off after 3s") || time.Since(began) != 3*time.Second {
			t.Errorf("Run: %v after %v", err, time.Since(began))
		}
	})
}
