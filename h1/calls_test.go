package h1_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"postern/h1"
	"postern/internal/h1test"
)

const aRequest = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"

// serverIn are the situations of a server, as transcripts lead there.
var serverIn = []struct{ name, in, commands string }{
	{"idle", "", ""},
	{"in a head", "GET / HTT", ""},
	{"in content", aRequest[:len(aRequest)-1], ""},
	{"request complete", aRequest, ""},
	{"responding early", aRequest[:len(aRequest)-1], "head"},
	{"responding", aRequest, "head"},
	{"responded early", aRequest[:len(aRequest)-1], "head data end"},
	{"request refused", "GET / HTTP/1.1\r\n\r\n", ""},
	{"refusal sent", "GET / HTTP/1.1\r\n\r\n", "head data end"},
	{"closed", "GET / HTTP/1.0\r\n\r\n", "head data end"},
	{"switched", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "switch"},
	{"failed", aRequest, "fail"},
}

// clientIn are the situations of a client.
var clientIn = []struct{ name, in, commands string }{
	{"idle", "", ""},
	{"requesting", "", "head"},
	{"request complete", "", "head data end"},
	{"response begun", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh", "head data end"},
	{"answered early", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "head"},
	{"exchange over", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "head data end"},
	{"abandoned", "", "head abandon"},
	{"closed", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "head data end"},
	{"switched", "HTTP/1.1 101 OK\r\nUpgrade: x\r\n\r\n", "switch"},
	{"response refused", "HTTP/1.1 2 OK\r\n\r\n", "head data end"},
	{"failed", "", "head fail"},
}

// calls are what a caller can do, each in its plainest form.
var calls = []struct {
	name string
	do   func(c h1test.Conn) error
}{
	{"head", func(c h1test.Conn) error { return aHead(c, "Content-Length: 2") }},
	{"info", func(c h1test.Conn) error {
		if s, ok := c.(*h1.ServerConn); ok {
			_, err := s.AppendInfo(nil, 103)
			return err
		}
		return nil
	}},
	{"switch", func(c h1test.Conn) error {
		if s, ok := c.(*h1.ServerConn); ok {
			w := s.Begin(nil, 101)
			w.Field("Upgrade", "x")
			_, err := w.End()
			return err
		}
		if err := aHead(c, "Upgrade: x"); err != nil {
			return err
		}
		_, err := c.AppendEnd(nil)
		return err
	}},
	{"data", func(c h1test.Conn) error { _, err := c.AppendData(nil, []byte("hi")); return err }},
	{"end", func(c h1test.Conn) error { _, err := c.AppendEnd(nil); return err }},
	{"trailer", func(c h1test.Conn) error { w := c.BeginTrailer(nil); _, err := w.End(); return err }},
	{"end data", func(c h1test.Conn) error { _, err := c.EndData(nil); return err }},
	{"skip", func(c h1test.Conn) error { return c.SkipBody(1) }},
	{"abandon", func(c h1test.Conn) error {
		if cl, ok := c.(*h1.ClientConn); ok {
			return cl.Abandon()
		}
		return nil
	}},
	{"fail", func(c h1test.Conn) error { c.Fail(); return nil }},
}

func aHead(c h1test.Conn, field string) error {
	var w h1.HeadWriter
	if s, ok := c.(*h1.ServerConn); ok {
		w = s.Begin(nil, 200)
	} else {
		w = c.(*h1.ClientConn).Begin(nil, "POST", "/", "a")
	}
	name, value, _ := strings.Cut(field, ": ")
	w.Field(name, value)
	_, err := w.End()
	return err
}

func call(name string, c h1test.Conn) error {
	i := slices.IndexFunc(calls, func(c struct {
		name string
		do   func(h1test.Conn) error
	}) bool {
		return c.name == name
	})
	return calls[i].do(c)
}

// next calls Next until it wants something, and returns the last it said.
func next(c h1test.Conn, in []byte) (string, []byte) {
	for {
		ev, n, err := c.Next(in)
		in = in[n:]
		switch {
		case err != nil:
			return "error", in
		case ev.Kind == h1.EventNeedData, ev.Kind == h1.EventPaused, ev.Kind == h1.EventClosed, ev.Kind == h1.EventSwitched:
			return ev.Kind.String(), in
		}
	}
}

// enter leads a fresh connection into a situation. The client speaks first.
func enter(t *testing.T, c h1test.Conn, in, commands string) (said string) {
	rest := []byte(in)
	if _, server := c.(*h1.ServerConn); server {
		_, rest = next(c, rest)
	}
	for name := range strings.FieldsSeq(commands) {
		if err := call(name, c); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	said, _ = next(c, rest)
	return said
}

// TestCalls makes every call in every situation. What each does stands in
// docs/calls.md; no call of a caller makes the connection fail, but Fail.
func TestCalls(t *testing.T) {
	var b strings.Builder
	b.WriteString("# What each call does when\n\nMade by `go test ./h1 -update`. A call that is\n" +
		"refused changes nothing; \"no\" is ErrState, \"call not allowed in this state\".\n")
	table := func(role string, names []string, make func(i int) (h1test.Conn, string)) {
		fmt.Fprintf(&b, "\n## %s\n\n| | client, server | phase | Next says |", role)
		for _, c := range calls {
			fmt.Fprintf(&b, " %s |", c.name)
		}
		b.WriteString("\n|---|---|---|---|" + strings.Repeat("---|", len(calls)) + "\n")
		for i, name := range names {
			c, said := make(i)
			client, server := c.State()
			fmt.Fprintf(&b, "| **%s** | %v, %v | %v | %s |", name, client, server, c.Phase(), said)
			for k := range calls {
				c, _ := make(i)
				err := calls[k].do(c)
				cell := "yes"
				if err != nil {
					if cell = "no"; !errors.Is(err, h1.ErrState) {
						cell = strings.TrimPrefix(err.(*h1.Error).Code.Error(), "h1: ")
					}
					if a, s := c.State(); a != client || s != server {
						t.Errorf("%s, %s: refused, and the states became %v %v", name, calls[k].name, a, s)
					}
				}
				if calls[k].name == "info" && role == "ClientConn" || calls[k].name == "abandon" && role == "ServerConn" {
					cell = ""
				}
				fmt.Fprintf(&b, " %s |", cell)
			}
			b.WriteString("\n")
		}
	}
	var names []string
	for _, s := range serverIn {
		names = append(names, s.name)
	}
	table("ServerConn", names, func(i int) (h1test.Conn, string) {
		c := new(h1.ServerConn)
		return c, enter(t, c, serverIn[i].in, serverIn[i].commands)
	})
	names = nil
	for _, s := range clientIn {
		names = append(names, s.name)
	}
	table("ClientConn", names, func(i int) (h1test.Conn, string) {
		c := new(h1.ClientConn)
		return c, enter(t, c, clientIn[i].in, clientIn[i].commands)
	})

	const file = "../docs/calls.md"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, _ := os.ReadFile(file); string(want) != b.String() {
		t.Errorf("%s is not what happens; go test ./h1 -update writes it", file)
	}
}
