package main_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var table = crc64.MakeTable(crc64.ECMA)

// content returns size bytes that look random.
func content(size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{}), size)
}

// summing is an upstream that answers with the length and the sum of the content.
func summing(t *testing.T) (addr string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := crc64.New(table)
		n, err := io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%d %x %v", n, sum.Sum64(), err)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// upload sends size bytes in chunks and checks that they have arrived.
func upload(t *testing.T, addr string, size int64) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Minute))
	io.WriteString(c, "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
	sum := crc64.New(table)
	buffered := bufio.NewWriterSize(c, 64<<10)
	chunks := httputil.NewChunkedWriter(buffered)
	if _, err := io.CopyBuffer(struct{ io.Writer }{chunks}, io.TeeReader(content(size), sum), make([]byte, 50_000)); err != nil {
		t.Fatal(err)
	}
	chunks.Close()
	io.WriteString(buffered, "\r\n")
	if err := buffered.Flush(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if want := fmt.Sprintf("%d %x <nil>", size, sum.Sum64()); string(got) != want || err != nil {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func TestUpload(t *testing.T) {
	upload(t, start(t, summing(t)), 64<<20)
}

// A gigabyte goes through little memory, also while clients do not take what they
// have asked for. It takes a while, and runs with POSTERN_GIGABYTE=1.
func TestGigabyte(t *testing.T) {
	if os.Getenv("POSTERN_GIGABYTE") != "1" {
		t.Skip("POSTERN_GIGABYTE is not 1")
	}
	addr, peak := process(t, "-to", summing(t))
	upload(t, addr, 1<<30)
	check(t, "a gigabyte", peak())

	const clients = 100
	gaveUp := make(chan struct{}, clients)
	stalled, peak := process(t, "-timeout", "2s", "-to", listen(t, func(_ int, c *net.TCPConn, in *bufio.Reader) {
		head(in)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 1<<30)
		if _, err := io.Copy(c, io.LimitReader(zeros{}, 1<<30)); err != nil {
			gaveUp <- struct{}{}
		}
	}))
	for range clients {
		c, _ := dial(t, stalled)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	for range clients {
		<-gaveUp
	}
	check(t, "100 clients that do not read", peak())
}

// check checks a process's peak of resident memory, in KiB.
func check(t *testing.T, what string, peak int) {
	t.Helper()
	t.Logf("%s: %d KiB at the peak", what, peak)
	if peak > 64<<10 {
		t.Errorf("%s: more than 64 MiB", what)
	}
}

// process runs the proxy as a process of its own until the test ends. peak tells the
// most memory that it ever had resident, in KiB.
func process(t *testing.T, args ...string) (addr string, peak func() int) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "proxy")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		t.Fatalf("printed %q, %v", line, err)
	}
	return addr, func() (kib int) {
		t.Helper()
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if err != nil {
			t.Skip("no /proc tells how much memory it took")
		}
		_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
		if _, err := fmt.Sscan(string(rest), &kib); err != nil {
			t.Fatal(err)
		}
		return kib
	}
}
