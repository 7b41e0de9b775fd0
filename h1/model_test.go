package h1_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"postern/h1"
)

// model is what a server must do, in the plainest terms: it knows the requests in
// advance, and so only counts bytes.
type model struct {
	requests   []modelRequest // the first is being read
	offered    int            // bytes of it that have come and are not consumed
	consumed   int            // bytes of it that are consumed
	in, out    h1.State
	persists   bool // this exchange lets the connection persist
	waits      bool // the client waits for 100
	last       bool // DisableKeepAlive
	eof        bool
	seen       int  // bytes of a head that Next has seen
	owed       int  // content of the response that is announced; -1: not counted
	some, none bool // the response has content so far; it is to HEAD
}

type modelRequest struct {
	text       string
	line, head int // bytes of the request-line, and of the head
	length     int
	old, close bool
	headMethod bool
	expects    bool
}

func modelRequests() *rapid.Generator[modelRequest] {
	return rapid.Custom(func(t *rapid.T) modelRequest {
		r := modelRequest{length: rapid.IntRange(0, 9).Draw(t, "length"), old: rapid.Bool().Draw(t, "1.0"), close: rapid.Bool().Draw(t, "close"), headMethod: rapid.Bool().Draw(t, "HEAD")}
		method, version := "PUT", "1.1"
		if r.headMethod {
			method = "HEAD"
		}
		text := fmt.Sprintf("Host: a\r\nContent-Length: %d\r\n", r.length)
		if r.close {
			text += "Connection: close\r\n"
		}
		if r.old {
			version = "1.0"
			if !r.close {
				text += "Connection: keep-alive\r\n"
			}
		} else if r.length > 0 {
			if r.expects = rapid.Bool().Draw(t, "expects"); r.expects {
				text += "Expect: 100-continue\r\n"
			}
		}
		line := fmt.Sprintf("%s / HTTP/%s\r\n", method, version)
		r.text = line + text + "\r\n"
		r.line, r.head = len(line), len(r.text)
		r.text += "123456789"[:r.length]
		return r
	})
}

// next is what Next says, and takes the bytes that it consumes.
func (m *model) next() string {
	r := m.requests[0]
	if m.in == h1.Idle {
		m.seen = m.offered
	}
	switch {
	case m.in == h1.Failed:
		return "error"
	case m.in == h1.Closed:
		return "Closed"
	case m.in == h1.Done:
		return "Paused"
	case m.in == h1.Idle && m.offered >= r.head:
		m.in, m.offered, m.consumed = h1.Body, m.offered-r.head, r.head
		m.persists, m.waits = !r.close, r.expects
		return "Request"
	case m.in == h1.Body && m.consumed == len(r.text):
		m.in = h1.Done
		m.settle()
		return "End"
	case m.in == h1.Body && m.offered > 0:
		n := min(m.offered, len(r.text)-m.consumed)
		m.offered, m.consumed, m.waits = m.offered-n, m.consumed+n, false
		return "Data"
	case !m.eof:
		return "NeedData"
	case m.in == h1.Idle && m.offered == 0:
		m.in, m.out = h1.Closed, h1.Closed
		return "Closed"
	}
	m.in = h1.Failed
	return "error"
}

// settle ends the exchange when both sides are done, or at once with the
// connection's last response.
func (m *model) settle() {
	switch {
	case m.out == h1.Done && !m.persists:
		m.out = h1.Closed
		if m.in != h1.Failed {
			m.in = h1.Closed
		}
	case m.out == h1.Done && m.in == h1.Done:
		m.in, m.out, m.consumed = h1.Idle, h1.Idle, 0
		m.requests, m.seen = m.requests[1:], 0
	}
}

// begin is whether a final response may begin; length is -1 if it is not told.
func (m *model) begin(length int) bool {
	inHead := m.in == h1.Idle && m.seen > 0
	if m.out != h1.Idle || m.in == h1.Closed || m.in == h1.Idle && !inHead {
		return false
	}
	known := m.in == h1.Body || m.in == h1.Done
	r := m.requests[0]
	chunked := length < 0 && known && !r.old
	m.persists = known && m.persists && !m.last && !(m.waits && m.in == h1.Body) && (length >= 0 || chunked)
	m.owed, m.none, m.waits = length, r.headMethod && (known || m.seen >= r.line), false
	m.some = false
	m.out = h1.Body
	if inHead {
		m.in = h1.Failed
	}
	return true
}

func (m *model) data(n int) bool {
	if m.out != h1.Body || m.owed >= 0 && n > m.owed {
		return false
	}
	if m.owed >= 0 {
		m.owed -= n
	}
	m.some = m.some || n > 0
	return true
}

// end is whether the response may end: content that was announced must be there,
// but to HEAD it need not be at all.
func (m *model) end() bool {
	if m.out != h1.Body || m.owed > 0 && (!m.none || m.some) {
		return false
	}
	m.out = h1.Done
	m.settle()
	return true
}

// TestModel lets chance call a server, and holds it to the model.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c h1.ServerConn
		m := &model{requests: rapid.SliceOfN(modelRequests(), 30, 30).Draw(t, "requests"), in: h1.Idle, out: h1.Idle}
		var in []byte
		for _, r := range m.requests {
			in = append(in, r.text...)
		}
		offered := 0
		agree := func(what string, ok bool, err error) {
			if ok != (err == nil) {
				t.Fatalf("%s: %v, and the model says %v", what, err, ok)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"feed": func(t *rapid.T) {
				if n := min(rapid.IntRange(1, 120).Draw(t, "bytes"), len(in)-offered); !m.eof {
					offered, m.offered = offered+n, m.offered+n
				}
			},
			"next": func(t *rapid.T) {
				want := m.next()
				ev, n, err := c.Next(in[:offered])
				in, offered = in[n:], offered-n
				if got := ev.Kind.String(); err == nil && got != want || err != nil && want != "error" {
					t.Fatalf("Next says %s, %v, and the model %s", got, err, want)
				}
			},
			"respond": func(t *rapid.T) {
				length := rapid.IntRange(-1, 5).Draw(t, "length")
				w := c.Begin(nil, 200)
				if length >= 0 {
					w.Length(int64(length))
				}
				_, err := w.End()
				agree("a head", m.begin(length), err)
			},
			"inform": func(t *rapid.T) {
				ok := m.out == h1.Idle && (m.in == h1.Body || m.in == h1.Done) && !m.requests[0].old
				m.waits = m.waits && !ok
				_, err := c.AppendInfo(nil, 100)
				agree("100", ok, err)
			},
			"data": func(t *rapid.T) {
				n := rapid.IntRange(0, 5).Draw(t, "bytes")
				_, err := c.AppendData(nil, in[:min(n, len(in))])
				agree("data", m.data(min(n, len(in))), err)
			},
			"end": func(t *rapid.T) {
				_, err := c.AppendEnd(nil)
				agree("the end", m.end(), err)
			},
			"rare": func(t *rapid.T) {
				switch rapid.IntRange(0, 30).Draw(t, "event") {
				case 0:
					c.CloseInput()
					m.eof = true
				case 1:
					c.DisableKeepAlive()
					m.last = true
				case 2:
					c.Fail()
					m.in, m.out = h1.Failed, h1.Failed
				}
			},
			"": func(t *rapid.T) {
				client, server := c.State()
				if client != m.in || server != m.out {
					t.Fatalf("the states are %v %v, and the model's %v %v", client, server, m.in, m.out)
				}
				waits := m.waits && m.in == h1.Body && m.out == h1.Idle
				over := m.out == h1.Closed || m.out == h1.Failed || m.in == h1.Failed && m.out != h1.Idle
				if c.WantsContinue() != waits || c.ShouldClose() != over {
					t.Fatalf("waits for 100: %v, should close: %v, and the model says %v, %v", c.WantsContinue(), c.ShouldClose(), waits, over)
				}
				if len(m.requests) < 3 {
					t.Skip("no requests left")
				}
			},
		})
	})
}
