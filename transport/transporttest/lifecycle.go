package transporttest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func closeEndsRead(t testing.TB, open Open) {
	client, _ := pair(t, open)
	reading := make(chan struct{})
	read := async(func() (int, error) {
		close(reading)
		return client.Read(make([]byte, 1))
	})
	<-reading
	client.Close()
	if n, err := await(t, "read", read); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read = %d, %v, want 0, net.ErrClosed", n, err)
	}
}

func closeEndsWrite(t testing.TB, open Open) {
	client, _ := pair(t, open)
	fill(t, client)
	write := async(func() (int, error) { return client.Write(make([]byte, 64<<20)) })
	client.Close()
	if _, err := await(t, "write", write); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write: %v, want net.ErrClosed", err)
	}
}

func closeEndsAccepts(t testing.TB, open Open) {
	ln, _ := start(t, open)
	var accepts []<-chan result[net.Conn]
	for range 4 {
		accepts = append(accepts, async(ln.Accept))
	}
	if err := ln.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	accepts = append(accepts, async(ln.Accept))
	for _, accept := range accepts {
		if _, err := await(t, "accept", accept); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v, want net.ErrClosed", err)
		}
	}
	if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v, want net.ErrClosed", err)
	}
	if ln.Addr() == nil {
		t.Error("Addr() = nil after Close")
	}
}

func connectionsOutliveListener(t testing.TB, open Open) {
	ln, dial := start(t, open)
	client, server := connect(t, ln, dial)
	ln.Close()
	send(t, client, "still there?")
	receive(t, server, "still there?")
	send(t, server, "yes")
	receive(t, client, "yes")
}

// closeResetsPending: a client that nobody will accept any more is told, and
// does not wait for ever.
func closeResetsPending(t testing.TB, open Open) {
	ln, dial := start(t, open)
	client, err := dial(context.Background())
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	defer client.Close()
	ln.Close()
	expect(t, client)
	if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF && !isBroken(err) {
		t.Errorf("Read = %d, %v, want 0 and the connection over", n, err)
	}
}

func dialAfterClose(t testing.TB, open Open) {
	ln, dial := start(t, open)
	ln.Close()
	if conn, err := dial(context.Background()); err == nil {
		conn.Close()
		t.Error("dial to a closed listener succeeded")
	}
}

func dialEndedContext(t testing.TB, open Open) {
	_, dial := start(t, open)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	conn, err := dial(ctx)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("dial with a cancelled context: %v, want context.Canceled", err)
	}
}

func contextEndsAfterDial(t testing.TB, open Open) {
	ln, dial := start(t, open)
	ctx, cancel := context.WithCancel(context.Background())
	client, server := connect(t, ln, func(context.Context) (net.Conn, error) { return dial(ctx) })
	cancel()
	send(t, client, "no matter")
	receive(t, server, "no matter")
}

func addresses(t testing.TB, open Open) {
	ln, dial := start(t, open)
	client, server := connect(t, ln, dial)
	at := ln.Addr()
	if at.Network() == "" || at.String() == "" {
		t.Fatalf("listener's address is %q of network %q, want both", at, at.Network())
	}
	for what, addr := range map[string]net.Addr{
		"client's remote": client.RemoteAddr(),
		"server's local":  server.LocalAddr(),
	} {
		if addr.Network() != at.Network() || addr.String() != at.String() {
			t.Errorf("%s address is %s %s, want the listener's %s %s", what, addr.Network(), addr, at.Network(), at)
		}
	}
	local, remote := client.LocalAddr(), server.RemoteAddr()
	if local.Network() != remote.Network() || local.String() != remote.String() {
		t.Errorf("client calls itself %s %s, server calls it %s %s, want the same",
			local.Network(), local, remote.Network(), remote)
	}
}

// concurrentAccepts: whoever accepts, each connection arrives once.
func concurrentAccepts(t testing.TB, open Open) {
	const accepters, clients = 4, 32
	ln, dial := start(t, open)
	var serving sync.WaitGroup
	for range accepters {
		serving.Go(func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				serving.Go(func() {
					defer conn.Close()
					io.Copy(conn, conn)
				})
			}
		})
	}
	var echoes []<-chan result[uint32]
	for id := range uint32(clients) {
		echoes = append(echoes, async(func() (uint32, error) { return echo(dial, id) }))
	}
	for id, done := range echoes {
		if got, err := await(t, "echo", done); err != nil || got != uint32(id) {
			t.Errorf("client %d got back %d, %v", id, got, err)
		}
	}
	ln.Close()
	await(t, "accepters and connections", async(func() (int, error) { serving.Wait(); return 0, nil }))
}

// echo connects, sends id and returns what came back.
func echo(dial Dial, id uint32) (uint32, error) {
	conn, err := dial(context.Background())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := binary.Write(conn, binary.BigEndian, id); err != nil {
		return 0, err
	}
	err = binary.Read(conn, binary.BigEndian, &id)
	return id, err
}

// concurrentWrites: writes of several goroutines come one after the other, none
// inside another, though each is larger than a buffer.
func concurrentWrites(t testing.TB, open Open) {
	const writers, size = 4, 1 << 20
	client, server := pair(t, open)
	var writing sync.WaitGroup
	for i := range writers {
		writing.Go(func() {
			if _, err := io.WriteString(client, strings.Repeat(string(rune('a'+i)), size)); err != nil {
				t.Errorf("write: %v", err)
			}
		})
	}
	go func() {
		writing.Wait()
		client.CloseWrite()
	}()
	expect(t, server)
	got, err := io.ReadAll(server)
	if err != nil || len(got) != writers*size {
		t.Fatalf("read %d bytes, %v, want %d", len(got), err, writers*size)
	}
	changes := 0
	for i := range got[1:] {
		if got[i] != got[i+1] {
			changes++
		}
	}
	if changes != writers-1 {
		t.Errorf("the writer changed %d times, want %d: each write whole", changes, writers-1)
	}
}

// nothingLeftBehind uses connections in every way and counts goroutines and
// descriptors before and after.
func nothingLeftBehind(t testing.TB, open Open) {
	use := func(n int) {
		ln, dial := open(t)
		for i := range n {
			client, server := connectOnly(t, ln, dial)
			client.SetDeadline(time.Now().Add(time.Hour))
			server.SetDeadline(time.Now().Add(time.Hour))
			send(t, client, "unread")
			if i%2 == 0 {
				client.(duplex).CloseWrite()
			}
			server.Close()
			client.Close()
		}
		pending, err := dial(context.Background())
		if err != nil {
			t.Fatalf("dial: %v", err)
		}
		ln.Close()
		pending.Close()
	}
	use(1) // what the first use sets up for good does not count
	goroutines, files := runtime.NumGoroutine(), openFiles()
	use(20)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		g, f := runtime.NumGoroutine(), openFiles()
		if g <= goroutines && f <= files {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines and %d files left, want %d and %d as before", g, f, goroutines, files)
			return
		}
	}
}

// connectOnly is connect without anything left to the end of the test.
func connectOnly(t testing.TB, ln net.Listener, dial Dial) (client, server net.Conn) {
	t.Helper()
	accepted := async(ln.Accept)
	client, err := dial(context.Background())
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	server, err = await(t, "accept", accepted)
	if err != nil {
		t.Fatalf("accept: %v", err)
	}
	return client, server
}

// openFiles counts the descriptors of this process; 0 where that is not to be
// seen.
func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// drain reads to the end and returns how many bytes there were.
func drain(c net.Conn) (int64, error) { return io.Copy(io.Discard, c) }
