//go:build darwin || linux

package kvstore_test

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"postern/kvstore"
)

// A limit on the size of files is a full disk that needs no root.
func TestBackupToAFullDisk(t *testing.T) {
	eachKind(t, options(), func(t *testing.T, s *kvstore.Store) {
		addRows(t, s, 3000)
		folder := t.TempDir()
		path := filepath.Join(folder, "b.db")
		if err := os.WriteFile(path, []byte("yesterday's"), 0o600); err != nil {
			t.Fatal(err)
		}
		limitFileSize(t, 1<<20, func() {
			err := s.Backup(watchdog(t), path)
			wantErr(t, "backup", err, kvstore.ErrFull)
			wantText(t, "backup", err, path)
		})
		wantFiles(t, folder, "b.db")
		if left, err := os.ReadFile(path); string(left) != "yesterday's" {
			t.Errorf("the file that was there: %d bytes, %v", len(left), err)
		}
		if err := s.Backup(watchdog(t), path); err != nil {
			t.Errorf("with room again: %v", err)
		}
	})
}

// limitFileSize runs fn while this process can make no file longer than n bytes.
func limitFileSize(t *testing.T, n uint64, fn func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ) // so that writes fail instead
	defer signal.Reset(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old)
	fn()
}
