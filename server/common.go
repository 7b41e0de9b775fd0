package server

import (
	"sync/atomic"
	"time"

	"postern/h1"
)

// common is what most responses say, checked and put together once a second.
type common struct {
	until age    // when Date changes
	date  string // RFC 9110 6.6.1
	lines h1.FieldLines
	typed [8]atomic.Pointer[typedLines] // with the content types of this second, in the order of their first use
}

type typedLines struct {
	contentType string
	lines       h1.FieldLines
}

// commonAt returns what responses have in common at an age.
func (s *Server) commonAt(t age) *common {
	m := s.common.Load()
	if m == nil || t >= m.until {
		m = s.makeCommon()
		s.common.Store(m)
	}
	return m
}

func (s *Server) makeCommon() *common {
	now := time.Now()
	m := &common{date: now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")}
	m.until = now.Sub(s.born) + time.Second - time.Duration(now.Nanosecond())
	m.lines, _ = m.lines.With("Date", m.date)
	if s.cfg.ServerName != "" {
		m.lines, _ = m.lines.With("Server", s.cfg.ServerName)
	}
	return m
}

// with returns the lines with a Content-Type, unless that is no field value or there
// are too many of them.
func (m *common) with(contentType string) (l h1.FieldLines, ok bool) {
	if contentType == "" {
		return m.lines, true
	}
	for i := range m.typed {
		t := m.typed[i].Load()
		if t == nil {
			lines, err := m.lines.With("Content-Type", contentType)
			if err != nil {
				return l, false
			}
			t = &typedLines{contentType, lines}
			m.typed[i].CompareAndSwap(nil, t) // who comes second has it once more, or not at all
		}
		if t.contentType == contentType {
			return t.lines, true
		}
	}
	return l, false
}

// appendFixed appends a small response that says nothing of its own, whole. Where it
// does not, appendHead tells why.
func (c *conn) appendFixed(resp *Response) bool {
	b, status := &resp.Body, resp.Status
	if b.kind > bodyBytes || resp.Close || len(resp.Header) > 0 || status > 599 {
		return false
	}
	if status == 0 {
		status = 200
	}
	n := len(b.text) + len(b.data) // one is empty
	lines, ok := c.srv.commonAt(c.now).with(b.contentType)
	if !ok || n > batchSize/2 {
		return false
	}
	out, err := c.out, error(nil)
	if b.kind == bodyText {
		out, err = c.proto.AppendFixedString(out, status, lines, b.text)
	} else {
		out, err = c.proto.AppendFixed(out, status, lines, b.data)
	}
	if err != nil {
		return false
	}
	c.out, c.status = out, status
	if c.proto.Sending() != h1.FramingNone {
		c.written = int64(n)
	}
	return true
}
