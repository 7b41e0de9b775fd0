package transport_test

import (
	"bytes"
	"fmt"
	"io"
	"net"

	"postern/transport"
	"postern/transport/memory"
)

// lines answers every line with the same line in upper case.
type lines struct {
	buf  [512]byte
	held []byte // of an unfinished line
	out  []byte
}

func (l *lines) Buffer() []byte { return l.buf[:] }

func (l *lines) Step(n int) ([]byte, transport.Next) {
	if n < 0 {
		return nil, transport.Close
	}
	l.held = append(l.held, l.buf[:n]...)
	line, rest, found := bytes.Cut(l.held, []byte("\n"))
	if !found {
		return nil, transport.Park
	}
	l.out = append(bytes.ToUpper(line), '\n')
	l.held = rest
	return l.out, transport.More
}

// drive is a driver by ordinary reads and writes.
func drive(conn net.Conn, p transport.Pump) error {
	for next := transport.Park; ; {
		n := 0
		if next == transport.Park {
			if n, _ = conn.Read(p.Buffer()); n == 0 {
				n = -1
			}
		}
		var out []byte
		if out, next = p.Step(n); len(out) > 0 {
			if _, err := conn.Write(out); err != nil {
				return err
			}
		}
		switch next {
		case transport.Leave:
			return nil
		case transport.Close:
			return conn.Close()
		}
	}
}

// An engine is a Pump; what drives it is a few lines.
func ExamplePump() {
	client, server := memory.Pipe()
	done := make(chan error)
	go func() { done <- drive(server, new(lines)) }()

	io.WriteString(client, "one\ntwo\nunfini")
	client.CloseWrite()
	answer, err := io.ReadAll(client)
	fmt.Printf("%q %v %v\n", answer, err, <-done)
	// Output: "ONE\nTWO\n" <nil> <nil>
}
