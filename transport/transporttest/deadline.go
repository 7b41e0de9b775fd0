package transporttest

import (
	"net"
	"testing"
	"time"
)

// readDeadline: a read ends when its deadline comes, every later one too, and
// without the deadline the connection is as good as before.
func readDeadline(t testing.TB, open Open) {
	client, server := pair(t, open)
	began := time.Now()
	server.SetReadDeadline(began.Add(soon))
	wantReadTimeout(t, server)
	if waited := time.Since(began); waited < soon {
		t.Errorf("Read timed out after %v, before its deadline at %v", waited, soon)
	}
	wantReadTimeout(t, server)
	send(t, server, "writing is not concerned")
	receive(t, client, "writing is not concerned")

	server.SetReadDeadline(time.Time{})
	send(t, client, "go on")
	receive(t, server, "go on")
}

// readDeadlineInThePast fails a read even though there is something to read,
// and loses none of it.
func readDeadlineInThePast(t testing.TB, open Open) {
	client, server := pair(t, open)
	send(t, client, "waiting")
	receive(t, server, "w") // the rest is here as well
	server.SetReadDeadline(time.Now().Add(-time.Second))
	wantReadTimeout(t, server)
	server.SetReadDeadline(time.Now().Add(patience))
	receive(t, server, "aiting")
}

// readDeadlineDuringRead: a deadline ends a read that began without one.
func readDeadlineDuringRead(t testing.TB, open Open) {
	_, server := pair(t, open)
	read := async(func() (int, error) { return server.Read(make([]byte, 1)) })
	server.SetReadDeadline(time.Now().Add(soon))
	if n, err := await(t, "read", read); n != 0 || !isTimeout(err) {
		t.Errorf("Read = %d, %v, want 0 and a timeout", n, err)
	}
	server.SetReadDeadline(time.Time{})
	read = async(func() (int, error) { return server.Read(make([]byte, 1)) })
	server.SetReadDeadline(time.Now().Add(-time.Second))
	if n, err := await(t, "read", read); n != 0 || !isTimeout(err) {
		t.Errorf("Read = %d, %v, want 0 and a timeout", n, err)
	}
}

// readDeadlineExtended: the deadline that counts is the one set last.
func readDeadlineExtended(t testing.TB, open Open) {
	client, server := pair(t, open)
	server.SetReadDeadline(time.Now().Add(soon))
	server.SetReadDeadline(time.Now().Add(patience))
	read := async(func() (int, error) { return server.Read(make([]byte, 1)) })

	// The client's own deadline tells when the server's first one has passed.
	client.SetReadDeadline(time.Now().Add(2 * soon))
	wantReadTimeout(t, client)
	send(t, client, "x")
	if n, err := await(t, "read", read); n != 1 || err != nil {
		t.Errorf("Read = %d, %v, want 1, <nil>", n, err)
	}
}

// writeDeadline: a write that nobody makes room for ends at its deadline and
// says how much went out; without the deadline the connection goes on there.
func writeDeadline(t testing.TB, open Open) {
	client, server := pair(t, open)
	client.SetWriteDeadline(time.Now().Add(-time.Second))
	if n, err := client.Write([]byte("x")); n != 0 || !isTimeout(err) {
		t.Fatalf("Write past its deadline = %d, %v, want 0 and a timeout", n, err)
	}
	sent := fill(t, client)
	send(t, server, "reading is not concerned")
	receive(t, client, "reading is not concerned")

	drained := async(func() (int64, error) { return drain(server) })
	client.SetWriteDeadline(time.Now().Add(patience))
	send(t, client, "last")
	client.CloseWrite()
	if n, err := await(t, "drain", drained); err != nil || n != sent+int64(len("last")) {
		t.Errorf("%d bytes arrived, %v, want the %d that Write said went out", n, err, sent+int64(len("last")))
	}
}

func deadlineForBoth(t testing.TB, open Open) {
	client, server := pair(t, open)
	client.SetDeadline(time.Now().Add(-time.Second))
	wantReadTimeout(t, client)
	if _, err := client.Write([]byte("x")); !isTimeout(err) {
		t.Errorf("Write: %v, want a timeout", err)
	}
	client.SetDeadline(time.Time{})
	send(t, client, "go on")
	receive(t, server, "go on")
	send(t, server, "so do I")
	receive(t, client, "so do I")
}

func wantReadTimeout(t testing.TB, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !isTimeout(err) {
		t.Fatalf("Read = %d, %v, want 0 and a timeout", n, err)
	}
}

// fill writes until nothing more fits and returns how many bytes went out. It
// leaves c without a write deadline.
func fill(t testing.TB, c net.Conn) (sent int64) {
	t.Helper()
	block := make([]byte, 256<<10)
	for {
		c.SetWriteDeadline(time.Now().Add(soon))
		n, err := c.Write(block)
		sent += int64(n)
		if err == nil {
			continue
		}
		if !isTimeout(err) {
			t.Fatalf("Write without a reader: %v, want a timeout", err)
		}
		c.SetWriteDeadline(time.Time{})
		return sent
	}
}
