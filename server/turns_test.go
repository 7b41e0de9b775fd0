package server_test

import (
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"postern/server"
	"postern/transport/memory"
)

// eager accepts connections whose clients take everything, and have always sent more:
// first, and then endlessly what follows, of which no read is to cut a part.
type eager struct {
	net.Listener
	first, then string
}

func (l eager) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &eagerConn{Conn: c, first: l.first, then: l.then}, err
}

type eagerConn struct {
	net.Conn
	first, then string
	closed      atomic.Bool
}

func (c *eagerConn) Read(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, io.EOF
	}
	n := copy(p, c.first)
	if c.first = ""; n > 0 {
		return n, nil
	}
	for n < len(p) {
		n += copy(p[n:], c.then)
	}
	return n, nil
}

func (c *eagerConn) Write(p []byte) (int, error) { return len(p), nil }

func (c *eagerConn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

// A connection that always has something to do lets others have their turn.
func TestTurns(t *testing.T) {
	const again = "GET /aaa HTTP/1.1\r\nHost: a\r\n\r\n\r\n" // 32 bytes
	for name, tc := range map[string]struct {
		first, then string
		answer      int    // bytes
		most        uint64 // of what the busy client wants, before another's turn; in 10 ms it is many times that
	}{
		"answers":       {"", again, 12 << 10, 100},
		"long answers":  {"", again, 1 << 20, 10},
		"short answers": {"", again, 0, 5000},
		"a long body":   {"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n", "x", 0, 200},
	} {
		t.Run(name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			var busy, before atomic.Uint64
			began, asked := make(chan bool, 1), make(chan bool)
			answer := make([]byte, tc.answer)
			s := server.New(func(r *server.Request) server.Response {
				if r.PathIs("/") {
					before.Store(busy.Load())
					return server.Text("fine")
				}
				for one := make([]byte, 1<<10); ; {
					if busy.Add(1) == 1 {
						began <- true
						<-asked
					}
					if n, _ := r.Body().Read(one); n == 0 {
						break
					}
				}
				return server.Bytes("text/plain", answer)
			}, server.Config{Log: quiet(), Limits: server.Limits{MaxBody: -1}})
			defer s.Close()
			ln, crowd := memory.Listen(memory.Config{}), memory.Listen(memory.Config{})
			go s.Serve(ln)
			go s.Serve(eager{crowd, tc.first, tc.then})
			c, err := ln.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			other, err := crowd.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			<-began
			io.WriteString(c, request)
			close(asked)
			got := make([]byte, 1000)
			if n, err := c.Read(got); err != nil || !strings.HasSuffix(string(got[:n]), "fine") {
				t.Fatalf("got %q, %v", got[:n], err)
			}
			if n := before.Load(); n > tc.most {
				t.Errorf("%d of one client came before another's turn, want at most %d", n, tc.most)
			}
		})
	}
}
