package server

import (
	"context"
	"testing"
)

// A reset cancels the request's context; half-closing does where that is asked
// for. The order of asking and going does not matter.
func TestGone(t *testing.T) {
	for _, tc := range []struct {
		name               string
		reset, half, first bool
		cancelled          bool
	}{
		{"reset", true, false, false, true},
		{"reset before anyone asked", true, false, true, true},
		{"half-closed", false, false, false, false},
		{"half-closed, asked for", false, true, false, true},
		{"half-closed before, asked for", false, true, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			called := false
			var c *conn
			h := func(r *Request) Response {
				called = true
				if tc.first {
					c.gone(tc.reset)
				}
				ctx := r.Context()
				if !tc.first {
					c.gone(tc.reset)
				}
				if got := ctx.Err() == context.Canceled; got != tc.cancelled {
					t.Errorf("cancelled: %v, want %v", got, tc.cancelled)
				}
				return Empty(204)
			}
			c = handDriven(h)
			c.srv.cfg.CancelOnHalfClose = tc.half
			c.Step(copy(c.Buffer(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
			if !called {
				t.Error("the handler was not called")
			}
		})
	}
}
