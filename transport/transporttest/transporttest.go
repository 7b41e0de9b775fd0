// Package transporttest is what every transport promises, as tests. A transport
// passes when
//
//	func TestConformance(t *testing.T) {
//		transporttest.Run(t, func(t testing.TB) (net.Listener, transporttest.Dial) {
//			...
//		})
//	}
//
// passes, plain and with -race. It covers what a server relies on: streams that
// arrive whole and in order, half-close, deadlines, what Close ends, how an end
// is told from a break, addresses, and that nothing is left behind.
package transporttest

import (
	"context"
	"errors"
	"iter"
	"net"
	"syscall"
	"testing"
	"time"
)

// Dial connects to the listener that it came with.
type Dial func(context.Context) (net.Conn, error)

// Open makes a new listener and the way to reach it. A test calls it once or
// more and closes the listener itself; whatever else Open needs to clean up
// goes to t.Cleanup.
type Open func(t testing.TB) (net.Listener, Dial)

// Run runs every case as a subtest.
func Run(t *testing.T, open Open) {
	for name, check := range Cases() {
		t.Run(name, func(t *testing.T) { check(t, open) })
	}
}

// Cases yields the name and the check of every case, for callers who run them
// in their own way, as in a testing/synctest bubble. No case takes part in
// t.Parallel: some count what the process has open.
func Cases() iter.Seq2[string, func(testing.TB, Open)] {
	return func(yield func(string, func(testing.TB, Open)) bool) {
		for _, c := range cases {
			if !yield(c.name, c.check) {
				return
			}
		}
	}
}

var cases = []struct {
	name  string
	check func(testing.TB, Open)
}{
	{"both ways", bothWays},
	{"large transfer", largeTransfer},
	{"empty read and write", emptyReadAndWrite},
	{"half-close by the client", halfCloseByClient},
	{"half-close by the server", halfCloseByServer},
	{"write after half-close", writeAfterHalfClose},
	{"end of stream", endOfStream},
	{"reset", reset},
	{"write to a closed peer", writeToClosedPeer},
	{"use after close", useAfterClose},

	{"read deadline", readDeadline},
	{"read deadline in the past", readDeadlineInThePast},
	{"read deadline set during a read", readDeadlineDuringRead},
	{"read deadline extended during a read", readDeadlineExtended},
	{"write deadline", writeDeadline},
	{"deadline for both", deadlineForBoth},

	{"close ends a read", closeEndsRead},
	{"close ends a write", closeEndsWrite},
	{"close ends accepts", closeEndsAccepts},
	{"connections outlive the listener", connectionsOutliveListener},
	{"close resets who was not accepted", closeResetsPending},
	{"dial after close", dialAfterClose},
	{"dial with an ended context", dialEndedContext},
	{"context ends after dial", contextEndsAfterDial},
	{"addresses", addresses},
	{"concurrent accepts", concurrentAccepts},
	{"concurrent writes stay whole", concurrentWrites},
	{"nothing left behind", nothingLeftBehind},
}

// patience is how long a case waits for what should come at once.
const patience = 10 * time.Second

// soon is a deadline that a case waits for.
const soon = 20 * time.Millisecond

// A duplex is the connection that a transport promises.
type duplex interface {
	net.Conn
	CloseWrite() error
}

// start opens a listener that closes with the test.
func start(t testing.TB, open Open) (net.Listener, Dial) {
	t.Helper()
	ln, dial := open(t)
	t.Cleanup(func() { ln.Close() })
	return ln, dial
}

// connect dials ln and accepts: the two ends of one connection, which close
// with the test.
func connect(t testing.TB, ln net.Listener, dial Dial) (client, server duplex) {
	t.Helper()
	accepted := async(func() (net.Conn, error) { return ln.Accept() })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := dial(ctx)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := await(t, "accept", accepted)
	if err != nil {
		t.Fatalf("accept: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return asDuplex(t, c), asDuplex(t, s)
}

// pair is connect on a listener of its own.
func pair(t testing.TB, open Open) (client, server duplex) {
	t.Helper()
	ln, dial := start(t, open)
	return connect(t, ln, dial)
}

func asDuplex(t testing.TB, c net.Conn) duplex {
	t.Helper()
	d, ok := c.(duplex)
	if !ok {
		t.Fatalf("%T has no CloseWrite", c)
	}
	return d
}

// result is what an asynchronous call returned.
type result[T any] struct {
	value T
	err   error
}

// async calls f in a goroutine of its own.
func async[T any](f func() (T, error)) <-chan result[T] {
	done := make(chan result[T], 1)
	go func() {
		value, err := f()
		done <- result[T]{value, err}
	}()
	return done
}

// await returns what came of an asynchronous call, and fails the test when it
// hangs.
func await[T any](t testing.TB, what string, done <-chan result[T]) (T, error) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.value, r.err
	case <-timer.C:
		t.Fatalf("%s: nothing came of it within %v", what, patience)
		panic("unreachable")
	}
}

// isTimeout reports whether err says that a deadline came.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, errTimeout) && errors.As(err, &ne) && ne.Timeout()
}

// isBroken reports whether err says that the peer broke the connection off.
func isBroken(err error) bool {
	const wsaeconnaborted, wsaeconnreset = syscall.Errno(10053), syscall.Errno(10054) // Windows
	for _, errno := range []error{syscall.ECONNRESET, syscall.EPIPE, wsaeconnaborted, wsaeconnreset} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
