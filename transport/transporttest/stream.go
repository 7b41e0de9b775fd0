package transporttest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"
)

var errTimeout = os.ErrDeadlineExceeded

func bothWays(t testing.TB, open Open) {
	client, server := pair(t, open)
	for range 3 {
		send(t, client, "to the server")
		receive(t, server, "to the server")
		send(t, server, "and back")
		receive(t, client, "and back")
	}
}

// largeTransfer moves more than any buffer holds, both ways at once, in pieces
// of changing size.
func largeTransfer(t testing.TB, open Open) {
	const size = 8 << 20
	client, server := pair(t, open)
	copied := make(map[string]<-chan result[int])
	var data [2][]byte
	for i, ends := range [][2]duplex{{client, server}, {server, client}} {
		from, to := ends[0], ends[1]
		random := rand.NewChaCha8([32]byte{byte(i)})
		data[i] = make([]byte, size)
		random.Read(data[i])
		copied[[]string{"client's bytes", "server's bytes"}[i]] = async(func() (int, error) {
			got, err := io.ReadAll(to)
			if err == nil && !bytes.Equal(got, data[i]) {
				err = errors.New("other bytes arrived than were sent")
			}
			return len(got), err
		})
		go func() {
			pieces := rand.New(random)
			for rest := data[i]; len(rest) > 0; {
				n := min(len(rest), 1+pieces.IntN(200_000))
				if _, err := from.Write(rest[:n]); err != nil {
					t.Errorf("write: %v", err)
					break
				}
				rest = rest[n:]
			}
			from.CloseWrite()
		}()
	}
	for who, done := range copied {
		if n, err := await(t, who, done); err != nil || n != size {
			t.Errorf("%s: %d arrived, %v; want %d, <nil>", who, n, err, size)
		}
	}
}

// emptyReadAndWrite: no bytes asked for or given is no end and no wait.
func emptyReadAndWrite(t testing.TB, open Open) {
	client, server := pair(t, open)
	if n, err := client.Read(nil); n != 0 || err != nil {
		t.Errorf("Read(nil) = %d, %v, want 0, <nil>", n, err)
	}
	if n, err := client.Write(nil); n != 0 || err != nil {
		t.Errorf("Write(nil) = %d, %v, want 0, <nil>", n, err)
	}
	send(t, client, "x")
	receive(t, server, "x")
}

func halfCloseByClient(t testing.TB, open Open) {
	client, server := pair(t, open)
	halfClose(t, client, server)
}

func halfCloseByServer(t testing.TB, open Open) {
	client, server := pair(t, open)
	halfClose(t, server, client)
}

// halfClose finishes sending from one end: the other sees all of it and the
// end, and can still answer.
func halfClose(t testing.TB, from, to duplex) {
	t.Helper()
	send(t, from, "all there is")
	if err := from.CloseWrite(); err != nil {
		t.Fatalf("CloseWrite: %v", err)
	}
	receive(t, to, "all there is")
	receiveEnd(t, to)
	receiveEnd(t, to) // and it stays the end
	send(t, to, "the answer")
	receive(t, from, "the answer")
	if err := to.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	receiveEnd(t, from)
}

func writeAfterHalfClose(t testing.TB, open Open) {
	client, server := pair(t, open)
	if err := client.CloseWrite(); err != nil {
		t.Fatalf("CloseWrite: %v", err)
	}
	if n, err := client.Write([]byte("late")); n != 0 || err == nil {
		t.Errorf("Write after CloseWrite = %d, %v, want 0 and an error", n, err)
	}
	receiveEnd(t, server)
}

// endOfStream: a peer that closed in order, with everything read, ends the
// stream with io.EOF and nothing else.
func endOfStream(t testing.TB, open Open) {
	client, server := pair(t, open)
	send(t, client, "the end")
	if err := client.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	receive(t, server, "the end")
	receiveEnd(t, server)
}

// reset: a peer that closed without reading what was sent to it breaks the
// connection, which must not look like the end of a stream.
func reset(t testing.TB, open Open) {
	client, server := pair(t, open)
	send(t, client, "x")
	send(t, server, "never read")
	receive(t, server, "x")
	// One byte read tells that the rest is in the client's buffers.
	receive(t, client, "n")
	client.Close()
	expect(t, server)
	if n, err := server.Read(make([]byte, 1)); n != 0 || !isBroken(err) {
		t.Errorf("Read after the peer broke off = %d, %v, want 0 and a reset connection", n, err)
	}
}

func writeToClosedPeer(t testing.TB, open Open) {
	client, server := pair(t, open)
	server.Close()
	expect(t, client)
	// The system may take some bytes before it learns that nobody wants them.
	block := make([]byte, 64<<10)
	for {
		if _, err := client.Write(block); err != nil {
			if !isBroken(err) {
				t.Errorf("Write to a closed peer: %v, want a broken connection", err)
			}
			return
		}
	}
}

func useAfterClose(t testing.TB, open Open) {
	client, _ := pair(t, open)
	local, remote := client.LocalAddr().String(), client.RemoteAddr().String()
	if err := client.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	_, readErr := client.Read(make([]byte, 1))
	_, writeErr := client.Write([]byte("x"))
	for what, err := range map[string]error{
		"Read": readErr, "Write": writeErr, "Close": client.Close(), "CloseWrite": client.CloseWrite(),
		"SetDeadline":      client.SetDeadline(time.Now()),
		"SetReadDeadline":  client.SetReadDeadline(time.Time{}),
		"SetWriteDeadline": client.SetWriteDeadline(time.Time{}),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s after Close: %v, want net.ErrClosed", what, err)
		}
	}
	if l, r := client.LocalAddr().String(), client.RemoteAddr().String(); l != local || r != remote {
		t.Errorf("addresses after Close: %s, %s, want %s, %s as before", l, r, local, remote)
	}
}

// expect bounds what the rest of the case waits for on c.
func expect(t testing.TB, c net.Conn) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatalf("SetDeadline: %v", err)
	}
}

// send writes s. It is for few bytes, that need no reader.
func send(t testing.TB, c net.Conn, s string) {
	t.Helper()
	if n, err := io.WriteString(c, s); n != len(s) || err != nil {
		t.Fatalf("Write(%q) = %d, %v", s, n, err)
	}
}

// receive reads exactly want.
func receive(t testing.TB, c net.Conn, want string) {
	t.Helper()
	expect(t, c)
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v, want %q", got[:n], err, want)
	}
	c.SetDeadline(time.Time{})
}

// receiveEnd reads the end of the stream.
func receiveEnd(t testing.TB, c net.Conn) {
	t.Helper()
	expect(t, c)
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("Read at the end = %d, %v, want 0, EOF", n, err)
	}
	c.SetDeadline(time.Time{})
}
