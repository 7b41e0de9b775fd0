package h1_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"postern/h1"
)

func TestFieldLines(t *testing.T) {
	var none h1.FieldLines
	one, err := none.With("X-A", " 1\t")
	if err != nil {
		t.Fatal(err)
	}
	both, err := one.With("content-type", "text/plain")
	if err != nil {
		t.Fatal(err)
	}
	other, err := one.With("X-B", "2")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		lines h1.FieldLines
		want  string
	}{
		{none, ""}, {one, "X-A: 1\r\n"}, {both, "X-A: 1\r\ncontent-type: text/plain\r\n"}, {other, "X-A: 1\r\nX-B: 2\r\n"},
	} {
		var c h1.ServerConn
		ask(t, &c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		w := c.Begin([]byte("before "), 200)
		w.Lines(tc.lines)
		w.Length(0)
		out, err := w.End()
		if want := "before HTTP/1.1 200 OK\r\n" + tc.want + "Content-Length: 0\r\n\r\n"; err != nil || string(out) != want {
			t.Errorf("%q, %v, want %q", out, err, want)
		}
	}

	for _, tc := range []struct {
		name, value string
		want        h1.Code
	}{
		{"", "a", h1.ErrInvalidName},
		{"a b", "a", h1.ErrInvalidName},
		{"a", "b\nc", h1.ErrFieldValue},
		{"CONTENT-TYPE", "text/html", h1.ErrFieldRepeated},
		{"Connection", "close", h1.ErrFraming},
		{"Content-Length", "1", h1.ErrFraming},
		{"Transfer-Encoding", "chunked", h1.ErrFraming},
		{"Upgrade", "a", h1.ErrFraming},
		{"Expect", "100-continue", h1.ErrFraming},
		{"TE", "trailers", h1.ErrFraming},
	} {
		l, err := both.With(tc.name, tc.value)
		if codeOf(err) != tc.want || l != both {
			t.Errorf("%q: %q: %v, want %v", tc.name, tc.value, err, tc.want)
		}
	}

	var c h1.ServerConn
	ask(t, &c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	w := c.Begin(nil, 200)
	w.Known(h1.FieldContentType, "text/html")
	w.Lines(both)
	if out, err := w.End(); codeOf(err) != h1.ErrFieldRepeated || len(out) > 0 {
		t.Errorf("a second Content-Type: %q, %v", out, err)
	}
	w = c.Begin(nil, 200)
	w.Lines(both)
	w.Known(h1.FieldContentType, "text/html")
	if out, err := w.End(); codeOf(err) != h1.ErrFieldRepeated || len(out) > 0 {
		t.Errorf("a second Content-Type: %q, %v", out, err)
	}
	w = c.Begin(nil, 200)
	w.Lines(one)
	out, err := w.End()
	if err != nil {
		t.Fatal(err)
	}
	w = c.BeginTrailer(out)
	w.Lines(both)
	if _, err := w.End(); codeOf(err) != h1.ErrNotInTrailer {
		t.Errorf("Content-Type in a trailer section: %v", err)
	}
}

func codeOf(err error) h1.Code {
	var e *h1.Error
	errors.As(err, &e)
	if e == nil {
		return 0
	}
	return e.Code
}

// ask has c receive all of in, up to the end of its last request.
func ask(t testing.TB, c *h1.ServerConn, in string) {
	t.Helper()
	for b := []byte(in); ; {
		ev, n, err := c.Next(b)
		if err != nil {
			t.Fatal(err)
		}
		if b = b[n:]; ev.Kind == h1.EventNeedData || ev.Kind == h1.EventPaused {
			return
		}
	}
}

// Whatever was asked and however far that has come, AppendFixed says the same as a
// head field by field, and leaves the connection in the same state.
func TestAppendFixed(t *testing.T) {
	lines, err := h1.FieldLines{}.With("X-A", "b")
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for choice := range choices(
		[]string{"GET /", "HEAD /", "POST /", "CONNECT a:1", "OPTIONS *"}, []string{" HTTP/1.1\r\nHost: a:1\r\n", " HTTP/1.0\r\nHost: a:1\r\n"},
		[]string{"", "Connection: close\r\n", "Connection: keep-alive\r\n", "Connection: upgrade\r\nUpgrade: x\r\n"},
		[]string{"", "Expect: 100-continue\r\n"},
		[]string{"\r\n", "Content-Length: 3\r\n\r\nabc", "Content-Length: 3\r\n\r\na", "Content-Length: 3\r\n\r\n"},
		[]string{"", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "!"},
		[]string{"", "a", "hello"}, // the response's content
		[]string{"", "last"},
		[]string{"", "CloseHTTP10"},
	) {
		in := strings.Join(choice[:6], "")
		for _, status := range []int{200, 201, 204, 205, 304, 404, 999, 1000} {
			cases++
			body := []byte(choice[6])
			if status == 204 || status == 205 || status == 304 {
				body = nil // AppendFixed refuses it before the head, which stepwise has out by then
			}
			var fixed, whole h1.ServerConn
			cfg := &h1.Config{CloseHTTP10: choice[8] != ""}
			fixed.Reset(cfg)
			whole.Reset(cfg)
			rest := feed(&fixed, in)
			feed(&whole, in)
			for range 2 { // and once more, behind it
				if choice[7] != "" {
					fixed.DisableKeepAlive()
					whole.DisableKeepAlive()
				}
				got, gotErr := []byte("x"), error(nil)
				if cases/8%2 == 0 { // there are eight statuses
					got, gotErr = fixed.AppendFixed(got, status, lines, body)
				} else {
					got, gotErr = fixed.AppendFixedString(got, status, lines, string(body))
				}
				if fixed.Request().Method() == h1.MethodConnect && status/100 == 2 {
					if gotErr == nil {
						t.Fatalf("%q, %d: a tunnel with content", in, status)
					}
					break
				}
				want, wantErr := stepwise(&whole, status, lines, body)
				if (gotErr == nil) != (wantErr == nil) || !bytes.Equal(got, want) {
					t.Fatalf("%q, %d: %q %v, want %q %v", in, status, got, gotErr, want, wantErr)
				}
				if is, want := stateOf(&fixed), stateOf(&whole); is != want {
					t.Fatalf("%q, %d: %s, want %s", in, status, is, want)
				}
				next := feed(&fixed, rest)
				if got := feed(&whole, rest); got != next {
					t.Fatalf("%q, %d: then %q is left, want %q", in, status, next, got)
				}
				rest = next
			}
		}
	}
	t.Logf("%d cases", cases)
}

// choices yields every way to take one of each.
func choices(of ...[]string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		choice := make([]string, len(of))
		var choose func(i int) bool
		choose = func(i int) bool {
			if i == len(of) {
				return yield(choice)
			}
			for _, choice[i] = range of[i] {
				if !choose(i + 1) {
					return false
				}
			}
			return true
		}
		choose(0)
	}
}

// stepwise is AppendFixed by smaller steps.
func stepwise(c *h1.ServerConn, status int, lines h1.FieldLines, body []byte) ([]byte, error) {
	dst := []byte("x")
	w := c.Begin(dst, status)
	w.Lines(lines)
	if status >= 200 && status != 204 && status != 304 {
		w.Length(int64(len(body)))
	}
	out, err := w.End()
	if err != nil {
		return out, err
	}
	if out, err = c.AppendData(out, body); err != nil {
		return out, err
	}
	return c.AppendEnd(out)
}

func stateOf(c *h1.ServerConn) string {
	client, server := c.State()
	return fmt.Sprint(client, server, c.Phase(), c.Sending(), c.ShouldClose(), c.WantsContinue())
}

// feed has c receive in until it wants more, or an answer, or finds a fault, and
// returns what is left of it.
func feed(c *h1.ServerConn, in string) string {
	for b := []byte(in); ; {
		ev, n, err := c.Next(b)
		if b = b[n:]; err != nil || ev.Kind == h1.EventNeedData || ev.Kind == h1.EventPaused || ev.Kind == h1.EventClosed {
			return string(b)
		}
	}
}
