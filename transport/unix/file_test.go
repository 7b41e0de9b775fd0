package unix_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"postern/transport/unix"
)

// stale leaves a socket at path that nobody answers on, as a killed server does.
func stale(t testing.TB, path string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
}

func TestCloseRemovesTheFile(t *testing.T) {
	path := newPath(t)
	ln := listen(t, unix.Config{Path: path})
	if !exists(path) {
		t.Fatal("Listen made no file")
	}
	if err := ln.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if exists(path) {
		t.Error("the file is still there after Close")
	}
	if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v, want net.ErrClosed", err)
	}
}

func TestListenRemovesAStaleSocket(t *testing.T) {
	path := newPath(t)
	stale(t, path)
	ln := listen(t, unix.Config{Path: path})
	answers(t, ln, path)
}

func TestListenLeavesALiveSocket(t *testing.T) {
	path := newPath(t)
	live := listen(t, unix.Config{Path: path})
	_, err := unix.Listen(unix.Config{Path: path})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen at a live socket: %v, want EADDRINUSE", err)
	}
	wantError(t, err, path)
	wantError(t, err, "in use")
	// The first to be accepted is whoever asked whether anybody answers.
	asked, err := live.Accept()
	if err != nil {
		t.Fatal(err)
	}
	asked.Close()
	answers(t, live, path)
}

func TestListenLeavesOtherFiles(t *testing.T) {
	for name, create := range map[string]func(path string) error{
		"file":      func(path string) error { return os.WriteFile(path, []byte("precious"), 0o644) },
		"empty":     func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"directory": func(path string) error { return os.Mkdir(path, 0o755) },
		"symlink":   func(path string) error { return os.Symlink("nowhere", path) },
		"link to a stale socket": func(path string) error {
			return os.Symlink(filepath.Base(path)+"-stale", path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			stale(t, path+"-stale")
			if err := create(path); err != nil {
				t.Skip(err)
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = unix.Listen(unix.Config{Path: path})
			if !errors.Is(err, fs.ErrExist) {
				t.Errorf("Listen: %v, want fs.ErrExist", err)
			}
			wantError(t, err, path)
			after, err := os.Lstat(path)
			if err != nil || !os.SameFile(before, after) || !exists(path+"-stale") {
				t.Errorf("Listen touched what was there: %v, %v", after, err)
			}
		})
	}
}

// Close removes what Listen made and nothing that came in its place.
func TestCloseLeavesAnotherFile(t *testing.T) {
	for name, replace := range map[string]func(t *testing.T, path string){
		"file": func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("precious"), 0o644); err != nil {
				t.Fatal(err)
			}
		},
		"another server's socket": func(t *testing.T, path string) { listen(t, unix.Config{Path: path}) },
		"stale socket":            func(t *testing.T, path string) { stale(t, path) },
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			ln := listen(t, unix.Config{Path: path})
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			replace(t, path)
			if err := ln.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if !exists(path) {
				t.Error("Close removed a file that was not its own")
			}
		})
	}
	path := newPath(t)
	ln := listen(t, unix.Config{Path: path})
	os.Remove(path)
	if err := ln.Close(); err != nil {
		t.Errorf("Close when the file is gone: %v", err)
	}
}

// Close finds its file where the directory went.
func TestCloseFollowsTheDirectory(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a directory in use cannot be moved")
	}
	path := newPath(t)
	dir := filepath.Dir(path)
	moved := dir + "-moved"
	t.Cleanup(func() { os.RemoveAll(moved) })
	ln := listen(t, unix.Config{Path: path})
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if exists(filepath.Join(moved, filepath.Base(path))) {
		t.Error("the file is still there after Close")
	}
}

// Of many servers that start at once over a stale file, one gets it.
func TestOnlyOneTakesOver(t *testing.T) {
	for range 20 {
		path := newPath(t)
		stale(t, path)
		var won atomic.Int32
		var starting sync.WaitGroup
		for range 8 {
			starting.Go(func() {
				ln, err := unix.Listen(unix.Config{Path: path})
				if err == nil {
					won.Add(1)
					t.Cleanup(func() { ln.Close() })
				} else if !errors.Is(err, syscall.EADDRINUSE) {
					t.Errorf("Listen: %v, want EADDRINUSE", err)
				}
			})
		}
		starting.Wait()
		if n := won.Load(); n != 1 {
			t.Fatalf("%d servers listen at one path, want 1", n)
		}
	}
}
