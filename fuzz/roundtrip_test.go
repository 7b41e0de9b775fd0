package fuzz_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/h1"
)

// FuzzRoundTrip writes a response from parts that nobody has checked. Either a call
// fails, and then neither its dst nor the connection has changed; or
// http.ReadResponse reads back the status, reason, fields, content and trailer
// section that were given, and not a byte is left. What is innocent must not fail.
func FuzzRoundTrip(f *testing.F) {
	for _, r := range roundTripSeeds {
		f.Add(r.request, r.how, r.status, r.reason, r.name1, r.value1, r.name2, r.value2, r.content, r.trailerName, r.trailerValue)
	}
	f.Fuzz(func(t *testing.T, request, how uint8, status int, reason, name1, value1, name2, value2 string, content []byte, trailerName, trailerValue string) {
		reply{request, how, status, reason, name1, value1, name2, value2, content, trailerName, trailerValue}.roundTrip(t)
	})
}

// TestRoundTrip does the same with parts drawn from what matters to the writer, the
// same ones every time.
func TestRoundTrip(t *testing.T) {
	for i, r := range roundTripSeeds {
		if !r.roundTrip(t) {
			t.Errorf("seed %d cannot be written", i)
		}
	}
	const inputs, enough = 50_000, 10_000
	rng := rand.New(rand.NewPCG(9112, 4))
	index := func(n int) int { return rng.IntN(1 + rng.IntN(n)) } // more often what stands first
	draw := func(from []string) string { return from[index(len(from))] }
	read := 0
	for range inputs {
		r := reply{
			request: uint8(index(len(roundTripRequests))),
			how:     uint8(rng.Uint32()),
			status:  roundTripStatuses[index(len(roundTripStatuses))],
			reason:  draw(roundTripValues),
			content: []byte(draw(roundTripValues)),
		}
		for _, f := range [][2]*string{{&r.name1, &r.value1}, {&r.name2, &r.value2}, {&r.trailerName, &r.trailerValue}} {
			if rng.IntN(2) == 0 {
				*f[0], *f[1] = draw(roundTripNames), draw(roundTripValues)
			}
		}
		if r.roundTrip(t) {
			read++
		}
	}
	if read < enough {
		t.Errorf("only %d of %d responses could be written: the parts are one-sided", read, inputs)
	}
}

// roundTrip reports whether the response could be written, and was read back.
func (r reply) roundTrip(t testing.TB) bool {
	t.Helper()
	const before = "what was there"
	conn, out := r.open(t), []byte(before)
	steps := r.steps()
	for i, step := range steps {
		kept := bytes.Clone(out)
		next, err := step(conn, out)
		if err != nil {
			if r.innocent() {
				t.Fatalf("%+v refused: %v", r, err)
			}
			if e, ok := errors.AsType[*h1.Error](err); !ok || e.Remote {
				t.Fatalf("%+v: a local error is %#v", r, err)
			}
			if !bytes.Equal(next, kept) {
				t.Fatalf("%+v: failed with %v and left %q of %q", r, err, next, kept)
			}
			r.unchanged(t, conn, steps[:i], err)
			return false
		}
		if !bytes.HasPrefix(next, kept) {
			t.Fatalf("%+v: %q became %q", r, kept, next)
		}
		out = next
	}
	br := bufio.NewReader(bytes.NewReader(out[len(before):]))
	if r.status == 101 || r.status/100 != 1 {
		r.readBack(t, conn, br)
	} else {
		r.readHead(t, br)
		reply{request: r.request, status: 200, how: withLength, content: r.content}.readBack(t, conn, br)
	}
	if left, _ := io.ReadAll(br); len(left) > 0 {
		t.Fatalf("%+v: %q is left behind it", r, left)
	}
	r.clientReads(t, out[len(before):])
	return true
}

// clientReads reads the response back with our own client.
func (r reply) clientReads(t testing.TB, wire []byte) {
	t.Helper()
	var c h1.ClientConn
	asked, target, host := r.asked(), "/", "a"
	if asked.method == "CONNECT" {
		target, host = "a:443", "a:443"
	}
	w := c.Begin(nil, asked.method, target, host)
	if strings.Contains(asked.bytes, "Upgrade") {
		w.Known(h1.FieldUpgrade, "h2c, x")
	}
	if _, err := w.End(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AppendEnd(nil); err != nil {
		t.Fatal(err)
	}
	status, content := 0, []byte(nil)
	for over := false; !over; {
		ev, n, err := c.Next(wire)
		if err != nil {
			t.Fatalf("%+v: our client refuses %q: %v", r, wire, err)
		}
		wire = wire[n:]
		switch ev.Kind {
		case h1.EventResponse:
			status = c.Response().Status()
		case h1.EventData:
			content = append(content, ev.Data...)
		case h1.EventNeedData:
			c.CloseInput()
		case h1.EventEnd, h1.EventSwitched:
			over = true
		}
	}
	want, wantStatus := r.content, r.status
	if wantStatus/100 == 1 && wantStatus != 101 {
		wantStatus = 200
	}
	if asked.method == "HEAD" || r.switches() {
		want = nil
	}
	if status != wantStatus || !bytes.Equal(content, want) || len(wire) > 0 {
		t.Fatalf("%+v: our client reads %d %q and leaves %q", r, status, content, wire)
	}
}

// innocent reports whether there is no reason to refuse the response: an ordinary
// status, fields that have no meaning to the connection, nothing but text, and a
// trailer section only where there is a place for one.
func (r reply) innocent() bool {
	if r.request > 4 || r.status < 200 || r.status > 599 || slices.Contains([]int{204, 205, 304, 426}, r.status) {
		return false
	}
	if r.how&withTrailer != 0 && (r.request != 0 || r.how&withLength != 0) {
		return false
	}
	for _, f := range [][2]string{{r.name1, r.value1}, {r.name2, r.value2}, {r.trailerName, r.trailerValue}} {
		if f[0]+f[1] != "" && !innocentName.MatchString(f[0]) {
			return false
		}
	}
	return !strings.ContainsFunc(r.reason+r.value1+r.value2+r.trailerValue, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

var innocentName = regexp.MustCompile(`^[Xx]-[A-Za-z]+$`)

// unchanged checks that a connection on which a call failed with err behaves like
// one on which only the calls before it were made.
func (r reply) unchanged(t testing.TB, conn *h1.ServerConn, before []replyStep, err error) {
	t.Helper()
	twin := r.open(t)
	for _, step := range before {
		if _, err := step(twin, nil); err != nil {
			t.Fatalf("%+v: a call that went well fails the second time: %v", r, err)
		}
	}
	for i, step := range []replyStep{
		func(_ *h1.ServerConn, dst []byte) ([]byte, error) { return dst, nil },
		func(conn *h1.ServerConn, dst []byte) ([]byte, error) { return conn.AppendInfo(dst, 100) },
		func(conn *h1.ServerConn, dst []byte) ([]byte, error) {
			return conn.AppendResponse(dst, 200, "a/b", []byte("c"))
		},
		func(conn *h1.ServerConn, dst []byte) ([]byte, error) { return conn.AppendData(dst, []byte("d")) },
		func(conn *h1.ServerConn, dst []byte) ([]byte, error) {
			w := conn.BeginTrailer(dst)
			return w.End()
		},
		func(conn *h1.ServerConn, dst []byte) ([]byte, error) { return conn.AppendEnd(dst) },
		func(conn *h1.ServerConn, dst []byte) ([]byte, error) { return conn.AppendResponse(dst, 204, "", nil) },
	} {
		got, gotErr := step(conn, nil)
		want, wantErr := step(twin, nil)
		if string(got) != string(want) || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) || viewOf(conn) != viewOf(twin) {
			t.Fatalf("%+v: after a call failed with %v, call %d behind it:\n got %q, %v, %+v\nwant %q, %v, %+v", r, err, i,
				got, gotErr, viewOf(conn), want, wantErr, viewOf(twin))
		}
	}
}

// connView is all that a connection tells about itself.
type connView struct {
	client, server                  h1.State
	phase                           h1.Phase
	sending                         h1.Framing
	wantsContinue                   bool
	shouldClose, shouldLinger, last bool
	remaining                       int64
}

func viewOf(conn *h1.ServerConn) (s connView) {
	s.client, s.server = conn.State()
	s.phase, s.sending, s.wantsContinue = conn.Phase(), conn.Sending(), conn.WantsContinue()
	s.shouldClose, s.shouldLinger = conn.ShouldClose(), conn.ShouldLinger()
	s.remaining, s.last = conn.BodyRemaining()
	return s
}

// readBack reads a final response, with its content and trailer section, and checks
// that it says of the connection what conn says.
func (r reply) readBack(t testing.TB, conn *h1.ServerConn, br *bufio.Reader) {
	t.Helper()
	resp := r.readHead(t, br)
	if resp == nil {
		br.Discard(br.Buffered())
		return
	}
	body, err := io.ReadAll(resp.Body)
	want := string(r.content)
	if r.asked().method == "HEAD" || r.switches() {
		want = ""
	}
	if err != nil || string(body) != want {
		t.Fatalf("%+v: content read back as %q, %v", r, body, err)
	}
	maps.DeleteFunc(resp.Trailer, func(_ string, values []string) bool { return values == nil })
	trailer := make(http.Header)
	if r.how&withTrailer != 0 && r.asked().method != "HEAD" && !r.switches() && r.trailerName+r.trailerValue != "" {
		trailer.Add(r.trailerName, strings.Trim(r.trailerValue, " \t"))
	}
	if !stdEqual(resp.Trailer, trailer) {
		t.Fatalf("%+v: trailer section read back as %q", r, resp.Trailer)
	}
	if !r.switches() && resp.Close != conn.ShouldClose() {
		t.Fatalf("%+v: it says close: %t; the connection says: %t", r, resp.Close, conn.ShouldClose())
	}
}

// readHead reads the head back. It returns nil for one that net/http does not take
// for a reason of its own: a Trailer field with a name that it forbids there.
func (r reply) readHead(t testing.TB, br *bufio.Reader) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(br, &http.Request{Method: r.asked().method})
	switch {
	case err != nil && strings.HasPrefix(err.Error(), "bad trailer key ") && len(r.fields()["Trailer"]) > 0:
		return nil
	case err != nil:
		t.Fatalf("%+v cannot be read back: %v", r, err)
	}
	reason := h1.StatusText(r.status)
	if r.how&withReason != 0 {
		reason = r.reason
	}
	if want := fmt.Sprintf("%03d %s", r.status, reason); resp.StatusCode != r.status || resp.Status != want || resp.Proto != "HTTP/1.1" {
		t.Fatalf("%+v: status-line read back as %q %q, want %q", r, resp.Proto, resp.Status, want)
	}
	if _, length := resp.Header["Content-Length"]; (length || resp.TransferEncoding != nil) && (r.status == 204 || r.status/100 == 1 || r.switches()) {
		t.Fatalf("%+v: framing where there is no content: %q, %q", r, resp.Header, resp.TransferEncoding)
	}
	got, want := resp.Header, r.fields()
	connection := r.connection(want)
	want.Del("Connection")
	if closes := resp.Close && !r.switches() || lists(connection, "close"); len(connection) > 0 && !closes {
		want.Set("Connection", strings.Join(connection, ", "))
	}
	// The differences that net/http makes: see stdFields. It also takes out a
	// Connection field that says close.
	want.Del("Transfer-Encoding")
	if len(resp.TransferEncoding) > 0 {
		want.Del("Trailer")
	}
	if want.Get("Pragma") == "no-cache" && want["Cache-Control"] == nil {
		want.Set("Cache-Control", "no-cache")
	}
	if !stdEqual(got, want) {
		t.Fatalf("%+v: fields read back as\n     %q\nwant %q", r, got, want)
	}
	return resp
}
