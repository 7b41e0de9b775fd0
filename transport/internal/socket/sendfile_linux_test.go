package socket_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// file returns an open file with content, at its start.
func file(t testing.TB, content string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// offset is where f is read next.
func offset(t testing.TB, f *os.File) int64 {
	t.Helper()
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// bytesOf returns n bytes that do not repeat soon, nor at a round number.
func bytesOf(n int) string {
	const period = 65521
	p := make([]byte, period)
	rand.NewChaCha8([32]byte{1}).Read(p)
	return strings.Repeat(string(p), n/period+1)[:n]
}

// What ReadFrom sends, and where it leaves file and reader.
func TestReadFrom(t *testing.T) {
	big := bytesOf(3<<20 + 17) // more than one sendfile, more than the socket takes
	limit := func(n int64) func(*os.File) io.Reader {
		return func(f *os.File) io.Reader { return io.LimitReader(f, n) }
	}
	whole := func(f *os.File) io.Reader { return f }
	for _, tc := range []struct {
		name    string
		content string
		from    int64
		reader  func(*os.File) io.Reader
		want    string
	}{
		{"whole", "hello", 0, whole, "hello"},
		{"empty", "", 0, whole, ""},
		{"big", big, 0, whole, big},
		{"from an offset", big, 1 << 20, whole, big[1<<20:]},
		{"at its end", "hello", 5, whole, ""},
		{"behind its end", "hello", 50, whole, ""},
		{"limited", big, 3, limit(1<<20 + 5), big[3 : 3+1<<20+5]},
		{"limited beyond the end", "hello", 1, limit(100), "ello"},
		{"limited to nothing", "hello", 0, limit(0), ""},
		{"limited to less", "hello", 0, limit(-1), ""},
		{"not a file", "hello", 0, func(*os.File) io.Reader { return strings.NewReader("other") }, "other"},
		{"limited, not a file", "", 0, func(*os.File) io.Reader { return io.LimitReader(strings.NewReader("other"), 3) }, "oth"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			each(t, func(t *testing.T, ln net.Listener) {
				client, server := connect(t, ln)
				f := file(t, tc.content)
				f.Seek(tc.from, io.SeekStart)
				r := tc.reader(f)
				var limit int64
				l, limited := r.(*io.LimitedReader)
				if limited {
					limit = l.N
				}
				type sent struct {
					n   int64
					err error
				}
				done := make(chan sent, 1)
				go func() {
					n, err := server.ReadFrom(r)
					server.CloseWrite()
					done <- sent{n, err}
				}()
				got, err := io.ReadAll(client)
				if err != nil || string(got) != tc.want {
					t.Errorf("%d bytes came, %v, want %d", len(got), err, len(tc.want))
				}
				if s := <-done; s.n != int64(len(tc.want)) || s.err != nil {
					t.Errorf("ReadFrom = %d, %v, want %d, <nil>", s.n, s.err, len(tc.want))
				}
				if !strings.Contains(tc.name, "not a file") {
					if at := offset(t, f); at != tc.from+int64(len(tc.want)) {
						t.Errorf("the file is at %d, want %d", at, tc.from+int64(len(tc.want)))
					}
				}
				if limited && l.N != limit-int64(len(tc.want)) {
					t.Errorf("the limit is %d, want %d", l.N, limit-int64(len(tc.want)))
				}
			})
		})
	}
}

// A pipe is an *os.File too, and no regular one.
func TestReadFromPipe(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		client, server := connect(t, ln)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		want := bytesOf(200_000)
		go func() {
			io.WriteString(w, want)
			w.Close()
		}()
		go func() {
			if n, err := server.ReadFrom(r); n != int64(len(want)) || err != nil {
				t.Errorf("ReadFrom = %d, %v, want %d", n, err, len(want))
			}
			server.CloseWrite()
		}()
		if got, err := io.ReadAll(client); string(got) != want || err != nil {
			t.Errorf("%d bytes came, %v", len(got), err)
		}
	})
}

// A peer that does not read: the write deadline ends it, and what was sent is what
// the file's offset says.
func TestReadFromDeadline(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		client, server := connect(t, ln)
		content := bytesOf(12 << 20)
		f := file(t, content)
		server.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		n, err := server.ReadFrom(f)
		var ne net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("ReadFrom: %v, want a timeout", err)
		}
		if strings.Count(err.Error(), "->")+strings.Count(err.Error(), ln.Addr().String()) > 2 {
			t.Errorf("the error says the same twice: %v", err)
		}
		if at := offset(t, f); at != n || n == 0 || n == int64(len(content)) {
			t.Errorf("%d bytes sent, the file is at %d", n, at)
		}
		server.SetWriteDeadline(time.Time{})
		go func() {
			if _, err := server.ReadFrom(f); err != nil {
				t.Errorf("ReadFrom: %v", err)
			}
			server.CloseWrite()
		}()
		client.SetDeadline(time.Now().Add(patience))
		if got, err := io.ReadAll(client); string(got) != content || err != nil {
			t.Errorf("%d bytes came, %v", len(got), err)
		}
	})
}

// A peer that breaks off in the middle, and a connection that is closed.
func TestReadFromBroken(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		f := file(t, bytesOf(32<<20))
		for name, end := range map[string]func(client duplex, server io.Closer){
			"peer":  func(client duplex, _ io.Closer) { client.Close() },
			"close": func(_ duplex, server io.Closer) { server.Close() },
		} {
			client, server := connect(t, ln)
			f.Seek(0, io.SeekStart)
			done := make(chan error, 1)
			go func() {
				_, err := server.ReadFrom(f)
				done <- err
			}()
			receive(t, client, bytesOf(1))
			end(client, server)
			want := []error{syscall.EPIPE, syscall.ECONNRESET}
			if name == "close" {
				want = []error{net.ErrClosed, net.ErrClosed}
			}
			within(t, "ReadFrom", func() {
				if err := <-done; !errors.Is(err, want[0]) && !errors.Is(err, want[1]) {
					t.Errorf("%s: ReadFrom: %v, want %v", name, err, want)
				}
			})
		}
	})
}

// A file that is cut while it is sent ends there.
func TestReadFromTruncated(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		client, server := connect(t, ln)
		const size = 32 << 20
		f := file(t, bytesOf(size))
		done := make(chan int64, 1)
		go func() {
			n, err := server.ReadFrom(io.LimitReader(f, size))
			if err != nil {
				t.Errorf("ReadFrom: %v", err)
			}
			server.CloseWrite()
			done <- n
		}()
		receive(t, client, bytesOf(1))
		if err := f.Truncate(1); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(client)
		if n := <-done; err != nil || int64(len(got)) != n-1 || n >= size {
			t.Errorf("%d bytes came, %v, of %d sent", len(got), err, n)
		}
	})
}

// A file that cannot be read is its own fault, not the connection's.
func TestReadFromBadFile(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		client, server := connect(t, ln)
		closed := file(t, "x")
		closed.Close()
		if n, err := server.ReadFrom(closed); n != 0 || !errors.Is(err, os.ErrClosed) {
			t.Errorf("a closed file: %d, %v", n, err)
		}
		path := filepath.Join(t.TempDir(), "w")
		w, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		w.WriteString("x")
		w.Seek(0, io.SeekStart)
		if n, err := server.ReadFrom(w); n != 0 || err == nil {
			t.Errorf("a file that is only written: %d, %v", n, err)
		}
		send(t, server, "and on")
		receive(t, client, "and on")
	})
}

// A file goes out from within a Step, while the connection pumps.
func TestReadFromWithinStep(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		client, server := connect(t, ln)
		want := bytesOf(8 << 20)
		f := file(t, want)
		pump(server, sending(func() {
			if n, err := server.ReadFrom(f); n != int64(len(want)) || err != nil {
				t.Errorf("ReadFrom = %d, %v", n, err)
			}
		}))
		send(t, client, "x")
		got := make([]byte, len(want))
		if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, []byte(want)) {
			t.Errorf("other bytes came, %v", err)
		}
		receive(t, client, ".")
	})
}
