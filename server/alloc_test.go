package server

import (
	"log/slog"
	"net"
	"testing"

	"postern/transport"
)

// RaceEnabled tells the other tests whether there is a race detector.
const RaceEnabled = raceEnabled

// silent is a connection that is never read or written: the test calls Step.
type silent struct{ net.Conn }

func (silent) Pump(transport.Pump, func([]byte) error) transport.Next { return transport.Close }
func (silent) Rest()                                                  {}
func (silent) Wake()                                                  {}

var someAddr = &net.TCPAddr{}

func (silent) RemoteAddr() net.Addr { return someAddr }
func (silent) LocalAddr() net.Addr  { return someAddr }

type nowhere struct{ net.Listener }

func (nowhere) Addr() net.Addr { return someAddr }

func handDriven(h Handler) *conn {
	s := New(h, Config{Log: slog.New(slog.DiscardHandler)})
	l := &listener{Listener: Listener{Listener: nowhere{}, Handler: h, Name: "test"}, srv: s, limits: s.limits}
	s.clock.coarse.Store(int64(s.age()))
	return newConn(l, silent{})
}

var smallRequests = map[string]string{
	"get":       "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"pipelined": "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"post":      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
	"chunked":   "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
}

func plainHandler(r *Request) Response {
	if r.PathIs("/echo") {
		b, err := r.ReadAll()
		if err != nil {
			return Err(err)
		}
		return Bytes("application/octet-stream", b)
	}
	return Text("Hello, World! This is longer than what the compiler copies onto the stack.")
}

// A small request and its answer allocate nothing, and a parked connection holds
// no buffer.
func TestNoAllocations(t *testing.T) {
	for name, in := range smallRequests {
		c := handDriven(plainHandler)
		out := make([]byte, 0, 4096)
		if n := testing.AllocsPerRun(1000, func() {
			n := copy(c.Buffer(), in)
			out = out[:0]
			for next := transport.More; next == transport.More; n = 0 {
				var part []byte
				part, next = c.Step(n)
				out = append(out, part...)
			}
		}); n != 0 && !raceEnabled { // with the race detector pools lose things on purpose
			t.Errorf("%s: %v allocations", name, n)
		}
		if c.work != nil {
			t.Errorf("%s: a parked connection holds its buffers", name)
		}
		if len(out) == 0 {
			t.Errorf("%s: no answer", name)
		}
	}
}

func BenchmarkStep(b *testing.B) {
	for name, in := range smallRequests {
		b.Run(name, func(b *testing.B) {
			c := handDriven(plainHandler)
			b.ReportAllocs()
			for b.Loop() {
				n := copy(c.Buffer(), in)
				for next := transport.More; next == transport.More; n = 0 {
					_, next = c.Step(n)
				}
			}
		})
	}
}
