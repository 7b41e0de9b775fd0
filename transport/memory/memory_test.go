package memory_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/transport/memory"
	"postern/transport/transporttest"
)

func open(testing.TB) (net.Listener, transporttest.Dial) {
	ln := memory.Listen(memory.Config{})
	return ln, ln.Dial
}

func TestConformance(t *testing.T) { transporttest.Run(t, open) }

// Small buffers make everything wait that can.
func TestConformanceWithLittleRoom(t *testing.T) {
	transporttest.Run(t, func(testing.TB) (net.Listener, transporttest.Dial) {
		ln := memory.Listen(memory.Config{Buffer: 100, Backlog: 1})
		return ln, ln.Dial
	})
}

// Every case passes in a bubble too: whatever waits is durably blocked, or the
// clock would stand still.
func TestConformanceUnderSynctest(t *testing.T) {
	for name, check := range transporttest.Cases() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { check(t, open) })
		})
	}
}

func TestDeadlineFollowsTheBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memory.Pipe()
		defer client.Close()
		defer server.Close()
		began := time.Now()
		client.SetReadDeadline(began.Add(time.Hour))
		_, err := client.Read(make([]byte, 1))
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Hour {
			t.Errorf("Read ended after %v: %v, want after exactly an hour", time.Since(began), err)
		}
	})
}

func TestWriteWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := memory.Listen(memory.Config{Buffer: 4})
		defer ln.Close()
		client, _ := ln.Dial(t.Context())
		defer client.Close()
		server, _ := ln.Accept()
		defer server.Close()

		var wrote int
		done := false
		go func() {
			wrote, _ = client.Write([]byte("123456"))
			done = true
		}()
		synctest.Wait()
		if done {
			t.Fatal("6 bytes went into a buffer of 4")
		}
		got := make([]byte, 6)
		if _, err := io.ReadFull(server, got); err != nil || string(got) != "123456" {
			t.Errorf("read %q, %v", got, err)
		}
		synctest.Wait()
		if !done || wrote != 6 {
			t.Errorf("Write = %d, done %v, want 6 and done", wrote, done)
		}
	})
}

func TestCloseOfThePeerEndsAWaitingWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memory.Pipe()
		defer client.Close()
		result := make(chan error)
		go func() {
			_, err := io.WriteString(client, strings.Repeat("x", 1<<20))
			result <- err
		}()
		synctest.Wait()
		server.Close()
		if err := <-result; !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write: %v, want EPIPE", err)
		}
	})
}

func TestResetStillDeliversWhatWasSent(t *testing.T) {
	client, server := memory.Pipe()
	defer server.Close()
	io.WriteString(server, "never read")
	io.WriteString(client, "last words")
	client.Close()
	got, err := io.ReadAll(server)
	if string(got) != "last words" || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %q, %v, want the last words, then ECONNRESET", got, err)
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("second Read: %v, want ECONNRESET still", err)
	}
}

func TestDialWaitsWhileTheBacklogIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := memory.Listen(memory.Config{Backlog: 1})
		first, err := ln.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := ln.Dial(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("Dial ended after %v: %v, want its context's deadline at 1s", time.Since(began), err)
		}
		refused := make(chan error)
		go func() {
			_, err := ln.Dial(context.Background())
			refused <- err
		}()
		synctest.Wait()
		ln.Close()
		if err := <-refused; !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial when the listener closed: %v, want ECONNREFUSED", err)
		}
	})
}

func TestWithoutBacklogDialWaitsForAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := memory.Listen(memory.Config{Backlog: -1})
		defer ln.Close()
		dialled := make(chan error)
		go func() {
			_, err := ln.Dial(t.Context())
			dialled <- err
		}()
		synctest.Wait()
		select {
		case err := <-dialled:
			t.Fatalf("Dial returned before Accept: %v", err)
		default:
		}
		if _, err := ln.Accept(); err != nil {
			t.Errorf("Accept: %v", err)
		}
		if err := <-dialled; err != nil {
			t.Errorf("Dial: %v", err)
		}
	})
}

func TestAddressesAreNumbered(t *testing.T) {
	ln := memory.Listen(memory.Config{Name: "front"})
	defer ln.Close()
	for _, want := range []string{"front:1", "front:2"} {
		client, err := ln.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if got := client.LocalAddr().String(); got != want {
			t.Errorf("LocalAddr() = %s, want %s", got, want)
		}
	}
	if got := ln.Addr().String(); got != "front:0" {
		t.Errorf("Addr() = %s, want front:0", got)
	}
}
