//go:build unix && !aix && !solaris

package unix_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"postern/transport/unix"
)

func TestMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077)) // the mode is as asked, whatever the umask
	for asked, want := range map[fs.FileMode]fs.FileMode{0: 0o600, 0o600: 0o600, 0o660: 0o660, 0o666: 0o666, 0o777: 0o777} {
		path := newPath(t)
		listen(t, unix.Config{Path: path, Mode: asked})
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != fs.ModeSocket|want {
			t.Errorf("Mode %#o: the file has %v, %v, want %v", asked, info.Mode(), err, fs.ModeSocket|want)
		}
	}
}

func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving files away takes root's rights")
	}
	for _, c := range []struct{ uid, gid, wantUID, wantGID int }{
		{0, 0, 0, os.Getegid()},
		{-1, -1, 0, os.Getegid()},
		{1234, 0, 1234, os.Getegid()},
		{0, 4321, 0, 4321},
		{1234, 4321, 1234, 4321},
	} {
		path := newPath(t)
		ln := listen(t, unix.Config{Path: path, UID: c.uid, GID: c.gid, Mode: 0o660})
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != fs.ModeSocket|0o660 {
			t.Errorf("the file has %v, want 0660", info.Mode())
		}
		owner := info.Sys().(*syscall.Stat_t)
		if int(owner.Uid) != c.wantUID || int(owner.Gid) != c.wantGID {
			t.Errorf("UID %d, GID %d: the file belongs to %d:%d, want %d:%d",
				c.uid, c.gid, owner.Uid, owner.Gid, c.wantUID, c.wantGID)
		}
		// Its own file, whoever it belongs to.
		if err := ln.Close(); err != nil || exists(path) {
			t.Errorf("Close: %v, and the file is there: %v", err, exists(path))
		}
	}
}

// When Listen fails after it bound the socket, it takes the file away again.
func TestFailedListenLeavesNothing(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("nothing fails for root")
	}
	path := newPath(t)
	_, err := unix.Listen(unix.Config{Path: path, UID: 1})
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Listen: %v, want fs.ErrPermission", err)
	}
	if exists(path) {
		t.Error("the file is still there")
	}
}

func TestListenLeavesASocketOfAnotherType(t *testing.T) {
	path := newPath(t)
	datagram, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer datagram.Close()
	_, err = unix.Listen(unix.Config{Path: path})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen: %v, want EADDRINUSE", err)
	}
	if !exists(path) {
		t.Error("the file is gone")
	}
}

// A directory that somebody keeps locked is an error, not a hang.
func TestLockedDirectory(t *testing.T) {
	path := newPath(t)
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	lock := func(how int) {
		t.Helper()
		if err := syscall.Flock(int(dir.Fd()), how); err != nil {
			t.Fatal(err)
		}
	}
	lock(syscall.LOCK_EX)
	_, err = unix.Listen(unix.Config{Path: path})
	wantError(t, err, filepath.Dir(path))
	lock(syscall.LOCK_UN)

	ln := listen(t, unix.Config{Path: path})
	lock(syscall.LOCK_EX)
	wantError(t, ln.Close(), path)
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after a Close that left the file: %v, want net.ErrClosed", err)
	}
	lock(syscall.LOCK_UN)
	listen(t, unix.Config{Path: path}) // takes what was left for stale
}

// full fills the backlog of a listener and returns how many connections that
// took; they close with the test.
func full(t testing.TB, path string) (n int) {
	t.Helper()
	for ; ; n++ {
		conn, err := net.Dial("unix", path)
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ECONNREFUSED) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
}

func TestDialWaitsForTheBacklog(t *testing.T) {
	path := newPath(t)
	ln := listen(t, unix.Config{Path: path, Backlog: 1})
	waiting := full(t, path)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := unix.Dial(ctx, path)
	if errors.Is(err, syscall.ECONNREFUSED) {
		t.Skip("a full backlog refuses here")
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Dial: %v, want context.DeadlineExceeded", err)
	}
	wantError(t, err, path)

	dialled := make(chan error)
	go func() {
		conn, err := unix.Dial(context.Background(), path)
		if err == nil {
			conn.Close()
		}
		dialled <- err
	}()
	for range waiting + 1 {
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	if err := <-dialled; err != nil {
		t.Errorf("Dial after Accept made room: %v", err)
	}
}
