package http

import (
	"net"
	"testing"
	"time"
)

// CondSkipHTTP2 is for tests of net/http compiled without HTTP/2.
func CondSkipHTTP2(testing.TB) {}

// SetRSTAvoidanceDelay sets how long net/http waits before it closes a connection. We
// wait for the client.
func SetRSTAvoidanceDelay(*testing.T, time.Duration) {}

var serveHook func(*Server, net.Listener)

// SetTestHookServerServe sets what Serve calls first.
func SetTestHookServerServe(f func(*Server, net.Listener)) { serveHook = f }
