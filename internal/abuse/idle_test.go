package abuse

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
)

// An idle connection costs little, and ends as an idle connection should: by a FIN,
// after its timeout or when the server shuts down, with nothing left behind.
func TestIdle(t *testing.T) {
	n := scale(2000, 10_000)
	for _, way := range []struct {
		name string
		most int64 // bytes of memory for each; 0: for information
	}{{"tcp", 5 << 10}, {"unix", 5 << 10}, {"tls", 0}} {
		t.Run(way.name, func(t *testing.T) {
			if !long { // or there are too few descriptors
				t.Parallel()
			}
			count := n
			if way.name == "tls" {
				count = n / 4
			}
			s := newTarget(t, "POSTERN_ABUSE_CONNS=20000", "POSTERN_ABUSE_IDLE=1h")
			dial := map[string]func() (net.Conn, error){
				"tcp":  func() (net.Conn, error) { return net.Dial("tcp", s.TCP) },
				"unix": func() (net.Conn, error) { return net.Dial("unix", s.state.Unix) },
				"tls": func() (net.Conn, error) {
					return tls.Dial("tcp", s.state.TLS, &tls.Config{InsecureSkipVerify: true})
				},
			}[way.name]
			open(t, dial, 50) // whatever the first ones need
			before := s.ask(t)
			conns := open(t, dial, count)
			time.Sleep(3 * time.Second) // they get their small stacks after a second
			after := s.ask(t)
			each := (after.PSS - before.PSS) / int64(count)
			t.Logf("%d connections: %d bytes each (PSS)", count, each)
			if after.Conns != before.Conns+count {
				t.Errorf("%d connections are open, want %d", after.Conns, before.Conns+count)
			}
			if way.most > 0 && each > way.most {
				t.Errorf("%d bytes for a connection, want at most %d", each, way.most)
			}
			t.Logf("Shutdown took %v", s.shutdown(t))
			allEnd(t, conns)
			if left := s.ask(t); left.Conns != 0 || left.Files > before.Files+3 {
				t.Errorf("after Shutdown: %+v", left)
			}
		})
	}
	t.Run("timeout", func(t *testing.T) {
		if !long {
			t.Parallel()
		}
		s := newTarget(t, "POSTERN_ABUSE_CONNS=20000", "POSTERN_ABUSE_IDLE=3s")
		before := s.ask(t)
		for name, addr := range map[string]string{"tcp": s.TCP, "unix": s.state.Unix} {
			conns := open(t, func() (net.Conn, error) { return net.Dial(name, addr) }, n)
			began := time.Now()
			allEnd(t, conns)
			for _, c := range conns {
				c.Close() // two times that many would be too many
			}
			t.Logf("%s: %d connections were ended %v after the last began", name, n, time.Since(began))
		}
		if left, ok := s.settled(t, state{Objects: 1 << 40, Goroutines: before.Goroutines, Files: before.Files}); !ok {
			t.Errorf("left behind: %+v, before %+v", left, before)
		}
	})
}

const small = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// open opens connections that do one request each. They are closed with the test.
func open(t *testing.T, dial func() (net.Conn, error), n int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	var wg sync.WaitGroup
	for part := range 8 {
		wg.Go(func() {
			buf := make([]byte, 4096)
			for i := part; i < n; i += 8 {
				c, err := dial()
				if err == nil {
					conns[i] = c
					_ = c.SetDeadline(time.Now().Add(2 * time.Minute)) // failing, the next call tells
					if _, err = io.WriteString(c, small); err == nil {
						_, err = c.Read(buf)
					}
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close() // it may be closed
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return conns
}

// allEnd expects of each connection that the server ends it, with a FIN.
func allEnd(t *testing.T, conns []net.Conn) {
	t.Helper()
	var wg sync.WaitGroup
	for part := range runtime.NumCPU() {
		wg.Go(func() {
			for i := part; i < len(conns); i += runtime.NumCPU() {
				if n, err := conns[i].Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
					t.Errorf("connection %d ended with %d bytes, %v", i, n, err)
				}
			}
		})
	}
	wg.Wait()
}
