//go:build unix && !aix && !solaris

package unix_test

import (
	"context"
	"net"
	"os"
	"testing"

	"postern/transport/transporttest"
	"postern/transport/unix"
)

// made returns a Unix socket that package net listens on, and its descriptor.
func made(t testing.TB, path string) (*net.UnixListener, *os.File) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	f, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close(); f.Close() })
	return ln, f
}

func TestFromFileConformance(t *testing.T) {
	transporttest.Run(t, func(t testing.TB) (net.Listener, transporttest.Dial) {
		path := newPath(t)
		older, f := made(t, path)
		older.Close()
		ln, err := unix.FromFile(f)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		return ln, func(ctx context.Context) (net.Conn, error) { return unix.Dial(ctx, path) }
	})
}

// Close leaves a file that it did not make, or that KeepFile has said is another's.
func TestFileStays(t *testing.T) {
	path := newPath(t)
	_, f := made(t, path)
	ln, err := unix.FromFile(f)
	if err != nil {
		t.Fatal(err)
	}
	if got := ln.Addr().String(); got != path {
		t.Errorf("Addr() = %q, want %q", got, path)
	}
	answers(t, ln, path)
	if err := ln.Close(); err != nil || !exists(path) {
		t.Errorf("Close: %v, and the file is there: %v", err, exists(path))
	}

	path = newPath(t)
	own := listen(t, unix.Config{Path: path})
	own.KeepFile()
	if err := own.Close(); err != nil || !exists(path) {
		t.Errorf("Close after KeepFile: %v, and the file is there: %v", err, exists(path))
	}
}

func TestFromFileRefuses(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	f, err := other.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = unix.FromFile(f)
	wantError(t, err, "is no Unix socket")
	_, err = unix.FromFile(os.Stdin)
	wantError(t, err, "/dev/stdin: ")
}
