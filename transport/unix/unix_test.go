package unix_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"postern/transport/transporttest"
	"postern/transport/unix"
)

// listen is Listen for tests: the listener closes with the test.
func listen(t testing.TB, c unix.Config) *unix.Listener {
	t.Helper()
	ln, err := unix.Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// newPath returns a path in a new directory. It is shorter than one under
// t.TempDir, which has the test's name in it and may not fit in an address.
func newPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "unix")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// answers fails the test when a client at path does not reach ln.
func answers(t testing.TB, ln *unix.Listener, path string) {
	t.Helper()
	conn, err := unix.Dial(t.Context(), path)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	defer conn.Close()
	server, err := ln.Accept()
	if err != nil {
		t.Fatalf("Accept: %v", err)
	}
	server.Close()
}

// exists reports whether there is a file at path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestConformance(t *testing.T) {
	transporttest.Run(t, func(t testing.TB) (net.Listener, transporttest.Dial) {
		path := newPath(t)
		ln, err := unix.Listen(unix.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return ln, func(ctx context.Context) (net.Conn, error) { return unix.Dial(ctx, path) }
	})
}

func TestBadPaths(t *testing.T) {
	dir := filepath.Dir(newPath(t))
	room := len(syscall.RawSockaddrUnix{}.Path) - 1 // bytes of the longest path
	for _, c := range []struct{ path, part string }{
		{"", "no path"},
		{"a\x00b", "NUL"},
		{dir + "/", "a directory"},
		{dir + strings.Repeat("x", room-len(dir)+1), "too long"},
		{strings.Repeat("x", 5000), "5000 bytes are too long"},
		{filepath.Join(dir, "missing", "s"), "missing"},
	} {
		_, err := unix.Listen(unix.Config{Path: c.path})
		wantError(t, err, c.part)
		if c.part == "missing" {
			continue // Dial says it in its own words
		}
		_, err = unix.Dial(t.Context(), c.path)
		wantError(t, err, c.part)
	}
	if !exists(dir) {
		t.Error("the directory is gone")
	}
}

// The longest path that is allowed works.
func TestLongestPath(t *testing.T) {
	path := newPath(t)
	path += strings.Repeat("x", len(syscall.RawSockaddrUnix{}.Path)-1-len(path))
	ln := listen(t, unix.Config{Path: path})
	answers(t, ln, path)
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	path := newPath(t)
	_, err := unix.Listen(unix.Config{Path: path, Mode: 0o600 | fs.ModeSetuid})
	wantError(t, err, "more than permissions")
	if runtime.GOOS == "linux" {
		for _, c := range []unix.Config{{Mode: 0o600}, {UID: 1}, {GID: 1}} {
			c.Path = "@postern-test-options"
			_, err := unix.Listen(c)
			wantError(t, err, "no mode and no owner")
		}
	}
}

func TestDialNobody(t *testing.T) {
	_, err := unix.Dial(t.Context(), newPath(t))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Dial: %v, want fs.ErrNotExist", err)
	}
	wantError(t, err, "")
}

// wantError wants an error of this package that contains part.
func wantError(t testing.TB, err error, part string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), "unix: ") || !strings.Contains(err.Error(), part) {
		t.Errorf("error is %v, want one that begins with %q and has %q in it", err, "unix: ", part)
	}
}
