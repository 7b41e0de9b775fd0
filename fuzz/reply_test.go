package fuzz_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"postern/h1"
)

// roundTripRequests are what is answered, and its method.
var roundTripRequests = [...]struct{ bytes, method string }{
	{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET"},
	{"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD"},
	{"GET / HTTP/1.0\r\n\r\n", "GET"},
	{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET"},
	{"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET"},
	{"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT"},
	{"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c, x\r\n\r\n", "GET"},
	{"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n", "POST"},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "POST"},
	{"HEAD / HTTP/1.1\r\nX\r\n", "HEAD"}, // refused
	{"GET / HT", "GET"},                  // incomplete
}

var (
	roundTripStatuses = []int{200, 404, 500, 103, 204, 304, 205, 206, 426, 101, 100, 199, 299, 599, 600, 999, 99, 1000, 0, -1}
	roundTripNames    = []string{
		"X", "x-y", "X-A", "a_b", "!#$%&'*+-.^_`|~", "Set-Cookie", "Pragma", "Cache-Control",
		"Content-Length", "content-length", "Transfer-Encoding", "Connection", "CONNECTION", "Keep-Alive", "Upgrade", "Trailer", "TE",
		"Host", "Date", "Content-Type", "ETag", "Content-MD5",
		"", "X Y", "X:", " X", "X\r\nY", "\u00e9",
	}
	roundTripValues = []string{
		"x", "", " x\t", "a, b", "Not so OK", "hello, world", "a\tb", "5", "1", "chunked", "gzip, chunked", "close", "keep-alive", "Close, x", "upgrade", "h2c", "no-cache", "x-y, X-A",
		"Content-Length", "\"q\"", "\xff\x80", "\u00a0x\u0085", "a\r\nX: y", "a\nb", "a\rb", "\x00", "\x7f", "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"0\r\n\r\n",
	}
)

// reply is what a careless handler hands to the writer. A field without name
// and value is none.
type reply struct {
	request       uint8 // index into roundTripRequests
	how           uint8 // the bits below
	status        int
	reason        string
	name1, value1 string
	name2, value2 string
	content       []byte
	trailerName   string
	trailerValue  string
}

const (
	withReason  uint8 = 1 << iota
	withLength        // announce the content's length
	withClose         // HeadWriter.Close
	withBytes         // FieldBytes in place of Field
	withPieces        // the content in two pieces
	withFrames        // BeginData and EndData in place of AppendData
	withTrailer       // end with BeginTrailer
	withLast          // DisableKeepAlive
)

var roundTripSeeds = []reply{
	{status: 200, content: []byte("hello")},
	{status: 200, how: withLength, content: []byte("hello"), name1: "Content-Type", value1: "text/plain"},
	{status: 200, how: withReason, reason: "Not so OK", name1: "X", value1: "1", name2: "x", value2: " \xff2\t"},
	{status: 404, how: withReason | withClose | withBytes, name1: "Connection", value1: "x-y, close", name2: "X-Y", value2: ""},
	{status: 200, how: withPieces | withTrailer, content: []byte("\r\n0\r\n\r\n"), name1: "Trailer", value1: "x-sum", trailerName: "X-Sum", trailerValue: "1"},
	{status: 103, how: withFrames, content: []byte("hello"), name1: "Link", value1: "</a>", name2: "link", value2: "</b>"},
	{status: 204, name1: "Upgrade", value1: "x"},
	{status: 304, how: withLength, name1: "ETag", value1: "\"x\"", name2: "Pragma", value2: "no-cache"},
	{status: 205, how: withLast},
	{request: 1, status: 200, how: withLength, content: []byte("hello")},
	{request: 1, status: 200, how: withTrailer | withPieces, content: []byte("hello"), trailerName: "X", trailerValue: "y"},
	{request: 2, status: 200, content: []byte("hello"), name1: "Connection", value1: "keep-alive"},
	{request: 3, status: 599, how: withLength, content: []byte("hello")},
	{request: 4, status: 999, how: withReason, reason: "\x80\t ", content: []byte("hello")},
	{request: 5, status: 200},
	{request: 5, status: 501, content: []byte("no")},
	{request: 6, status: 101, name1: "Upgrade", value1: "h2c"},
	{request: 6, status: 426, name1: "Upgrade", value1: "h3", name2: "Connection", value2: "x"},
	{request: 7, status: 100},
	{request: 7, status: 417, how: withLength},
	{request: 8, status: 413, content: []byte("too much")},
	{request: 9, status: 400, how: withLength, content: []byte("no")},
	{request: 10, status: 408, content: []byte("late")},
}

// open returns a connection that has read the request, as far as it can be read.
func (r reply) open(t testing.TB) *h1.ServerConn {
	t.Helper()
	conn := new(h1.ServerConn)
	for in := r.asked().bytes; ; {
		ev, n, err := conn.Next([]byte(in))
		in = in[n:]
		if err != nil || ev.Kind == h1.EventNeedData || ev.Kind == h1.EventPaused {
			break
		}
	}
	if r.how&withLast != 0 {
		conn.DisableKeepAlive()
	}
	return conn
}

func (r reply) asked() struct{ bytes, method string } {
	return roundTripRequests[int(r.request)%len(roundTripRequests)]
}

// replyStep is one call, or what must not be torn apart, that appends.
type replyStep func(conn *h1.ServerConn, dst []byte) ([]byte, error)

// steps are the calls that write the response, with one that is final behind it if
// it is interim.
func (r reply) steps() []replyStep {
	all := []replyStep{r.writeHead}
	switch {
	case r.switches():
		return all
	case r.status/100 == 1:
		return append(all, func(conn *h1.ServerConn, dst []byte) ([]byte, error) {
			return conn.AppendResponse(dst, 200, "", r.content)
		})
	}
	cut := len(r.content)
	if r.how&withPieces != 0 {
		cut /= 2
	}
	for _, piece := range [][]byte{r.content[:cut], r.content[cut:]} {
		if len(piece) == 0 {
			continue
		}
		all = append(all, func(conn *h1.ServerConn, dst []byte) ([]byte, error) {
			if r.how&withFrames == 0 {
				return conn.AppendData(dst, piece)
			}
			dst, err := conn.BeginData(dst, int64(len(piece)))
			if err != nil {
				return dst, err
			}
			if conn.Sending() != h1.FramingNone {
				dst = append(dst, piece...)
			}
			return conn.EndData(dst)
		})
	}
	return append(all, func(conn *h1.ServerConn, dst []byte) ([]byte, error) {
		if r.how&withTrailer == 0 {
			return conn.AppendEnd(dst)
		}
		w := conn.BeginTrailer(dst)
		r.field(&w, r.trailerName, r.trailerValue)
		return w.End()
	})
}

func (r reply) writeHead(conn *h1.ServerConn, dst []byte) ([]byte, error) {
	w := conn.Begin(dst, r.status)
	if r.how&withReason != 0 {
		w.Reason(r.reason)
	}
	r.field(&w, r.name1, r.value1)
	r.field(&w, r.name2, r.value2)
	if r.how&withLength != 0 {
		w.Length(int64(len(r.content)))
	}
	if r.how&withClose != 0 {
		w.Close()
	}
	return w.End()
}

func (r reply) field(w *h1.HeadWriter, name, value string) {
	switch {
	case name == "" && value == "":
	case r.how&withBytes != 0:
		w.FieldBytes(name, []byte(value))
	default:
		w.Field(name, value)
	}
}

// fields returns the fields that were given, with the length as h1 has it.
func (r reply) fields() http.Header {
	h := make(http.Header)
	for _, f := range [][2]string{{r.name1, r.value1}, {r.name2, r.value2}} {
		if f[0]+f[1] != "" {
			h.Add(f[0], strings.Trim(f[1], " \t"))
		}
	}
	if r.how&withLength != 0 {
		h.Set("Content-Length", strconv.Itoa(len(r.content)))
	}
	if r.status == 205 && !r.switches() {
		h.Set("Content-Length", "0")
	}
	if length := h.Get("Content-Length"); length != "" {
		h.Set("Content-Length", strings.TrimLeft(length[:len(length)-1], "0")+length[len(length)-1:])
	}
	return h
}

// connection returns the options that the response must list if it does not say
// close: those that were given, over all lines, and what h1 adds to a final response
// and to 101.
func (r reply) connection(fields http.Header) (options []string) {
	for _, line := range fields["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			if option = strings.Trim(option, " \t"); option != "" {
				options = append(options, option)
			}
		}
	}
	if len(fields["Upgrade"]) > 0 && !lists(options, "upgrade") {
		options = append(options, "upgrade")
	}
	if strings.Contains(r.asked().bytes, "HTTP/1.0") && r.status/100 != 1 && !r.switches() && !lists(options, "keep-alive") {
		options = append(options, "keep-alive")
	}
	return options
}

func lists(options []string, option string) bool {
	return slices.ContainsFunc(options, func(o string) bool { return strings.EqualFold(o, option) })
}

// switches reports whether the response makes the connection another protocol's.
func (r reply) switches() bool {
	return r.status == 101 || r.asked().method == "CONNECT" && r.status/100 == 2
}
