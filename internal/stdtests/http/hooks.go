package http

import (
	"testing"
	"time"
)

// CondSkipHTTP2 is for tests of net/http compiled without HTTP/2.
func CondSkipHTTP2(testing.TB) {}

// SetRSTAvoidanceDelay sets how long net/http waits before it closes a connection. We
// wait for the client.
func SetRSTAvoidanceDelay(*testing.T, time.Duration) {}
