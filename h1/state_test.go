package h1

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestTransitions walks every (state, input) pair: what the table has happens,
// what it has not panics, and docs/states.md says the same.
func TestTransitions(t *testing.T) {
	for s := Idle; s < nStates; s++ {
		for in := input(0); in < nInputs; in++ {
			got, panicked := try(s, in)
			want := transitions[s][in]
			if panicked != (want == illegal) || !panicked && got != want {
				t.Errorf("%v on %s: got %v (panic: %v), want %v", s, inputNames[in], got, panicked, want)
			}
		}
	}
	const file = "../docs/states.md"
	if updating() {
		if err := os.WriteFile(file, []byte(diagram()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != diagram() {
		t.Errorf("%s is not what the table says; go test ./h1 -update writes it", file)
	}
}

func try(s State, in input) (got State, panicked bool) {
	defer func() { panicked = recover() != nil }()
	move(&s, in)
	return s, false
}

// updating reports whether the test was run with -update, a flag of h1_test.
func updating() bool {
	for _, a := range os.Args[1:] {
		if strings.TrimLeft(a, "-") == "update" {
			return true
		}
	}
	return false
}

func diagram() string {
	var b strings.Builder
	b.WriteString("# The states of a side\n\n" +
		"Made from the table in h1/state.go by `go test ./h1 -update`. Requests and responses follow the same\n" +
		"table; settle in that file couples them.\n\n```mermaid\nstateDiagram-v2\n    [*] --> Idle\n")
	for s := Idle; s < nStates; s++ {
		for in := input(0); in < nInputs; in++ {
			if to := transitions[s][in]; to != illegal {
				fmt.Fprintf(&b, "    %v --> %v: %s\n", s, to, inputNames[in])
			}
		}
	}
	b.WriteString("```\n\n| |")
	for in := input(0); in < nInputs; in++ {
		fmt.Fprintf(&b, " %s |", inputNames[in])
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", int(nInputs)) + "\n")
	for s := Idle; s < nStates; s++ {
		fmt.Fprintf(&b, "| **%v** |", s)
		for in := input(0); in < nInputs; in++ {
			cell := ""
			if to := transitions[s][in]; to != illegal {
				cell = to.String()
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// The hash that finds recognised fields has no collision, and finds each of them
// in any case.
func TestFieldHash(t *testing.T) {
	for id := FieldID(1); id < nFields; id++ {
		name := id.String()
		for _, s := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := fieldOf(s); got != id {
				t.Errorf("%q is field %d, want %d", s, got, id)
			}
		}
		if got := fieldOf(name + "x"); got != 0 {
			t.Errorf("%q is field %v", name+"x", got)
		}
	}
}

// Every code has a text, and exactly the remote ones a status.
func TestCodes(t *testing.T) {
	for c := Code(1); c < nCodes; c++ {
		if codes[c].text == "" || (codes[c].status == 0) != (c >= ErrState) {
			t.Errorf("code %d: %+v", c, codes[c])
		}
	}
}

// Nothing that is incomplete can be looked at, and a HeadWriter that comes too
// late is refused.
func TestMisuse(t *testing.T) {
	var c ServerConn
	in := []byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: 1\r\n")
	if c.Next(in[:20]); c.Request().Len() != 0 || c.Request().Method() != MethodOther {
		t.Error("half a head can be seen")
	}
	_, n, _ := c.Next(in)
	if c.Next(in[n:]); c.Trailer().Len() != 0 {
		t.Error("half a trailer section can be seen")
	}
	if _, ok := c.Trailer().Lookup("X-A"); ok {
		t.Error("half a trailer section can be searched")
	}
	one, two := c.Begin(nil, 200), c.Begin(nil, 404)
	if _, err := one.End(); err != nil {
		t.Error(err)
	}
	for _, w := range []*HeadWriter{&one, &two} {
		if _, err := w.End(); err == nil {
			t.Error("a second head was ended")
		}
	}
	late := c.Begin(nil, 200)
	c.Fail()
	if _, err := late.End(); err == nil {
		t.Error("a head was ended after Fail")
	}
}

// However a section is cut, no byte of it is scanned twice: what has been looked at
// stays looked at, but for a CR whose LF is not in yet and, in a response, a line end
// whose next byte is not.
func TestScanGoesOn(t *testing.T) {
	long := strings.Repeat("x", 1000)
	server, client := new(ServerConn), new(ClientConn)
	w := client.Begin(nil, "GET", "/", "a")
	w.End()
	for _, tc := range []struct {
		c     *conn
		in    string
		again int
	}{
		{&server.conn, "GET /" + long + " HTTP/1.1\r\nHost: a\r\n" + long + ": " + long + "\r\nB:\r\n\r\n", 1},
		{&client.conn, "HTTP/1.1 200 " + long + "\r\nA: b\r\n " + long + "\r\n" + long + ": " + long + "\r\n\r\n", 2},
	} {
		in := []byte(tc.in)
		for n := 1; n < len(in); n++ {
			ev, used, err := tc.c.Next(in[:n])
			if ev.Kind != EventNeedData || used != 0 || err != nil {
				t.Fatalf("after %d bytes: %v, %d, %v", n, ev, used, err)
			}
			if tc.c.scan < n-tc.again {
				t.Fatalf("after %d bytes only %d are scanned", n, tc.c.scan)
			}
		}
		if ev, used, err := tc.c.Next(in); used != len(in) || err != nil {
			t.Fatal(ev, used, err)
		}
	}
}

// A reason phrase is the caller's, checked like a field value, and comes first.
func TestReason(t *testing.T) {
	for _, tc := range []struct {
		reason string
		field  bool
		code   Code
	}{{"All Well", false, 0}, {"", false, 0}, {"a\r\nX: y", false, ErrFieldValue}, {"late", true, ErrState}} {
		var c ServerConn
		for in := []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); c.recv != Done; {
			_, n, _ := c.Next(in)
			in = in[n:]
		}
		w := c.Begin(nil, 200)
		if tc.field {
			w.Field("X", "y")
		}
		w.Reason(tc.reason)
		w.Length(0)
		out, err := w.End()
		if tc.code != 0 {
			if e, ok := err.(*Error); !ok || e.Code != tc.code || len(out) > 0 {
				t.Errorf("%q: %q, %v", tc.reason, out, err)
			}
		} else if want := "HTTP/1.1 200 " + tc.reason + "\r\nContent-Length: 0\r\n\r\n"; string(out) != want || err != nil {
			t.Errorf("%q: %q, %v", tc.reason, out, err)
		}
	}
}
