package kvstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"postern/kvstore"
)

// addRows gives the store n entries of a kilobyte each in table t.
func addRows(t *testing.T, s *kvstore.Store, n int) {
	t.Helper()
	value := bytes.Repeat([]byte("v"), 1000)
	err := s.Execute(watchdog(t), func(tx *kvstore.Tx) error {
		for i := range n {
			if _, err := tx.Overwrite("t", fmt.Sprintf("key%06d", i), value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantFiles fails the test unless the folder holds exactly these names.
func wantFiles(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("in the folder: %q, want %q", got, want)
	}
}

func TestBackupIsAStoreOfItsOwn(t *testing.T) {
	eachKind(t, options(), func(t *testing.T, s *kvstore.Store) {
		ctx := watchdog(t)
		folder := t.TempDir()
		path := filepath.Join(folder, "backup.db")
		expiry := time.Now().Add(time.Hour).Truncate(time.Millisecond)
		s.Add(ctx, "t", "k", []byte("old"))
		s.Overwrite(ctx, "t", "k", []byte("v\x00\xff"), kvstore.ExpiresAt(expiry))
		s.Add(ctx, "other", "gone", nil)
		s.Delete(ctx, "other", "gone")
		if err := s.Backup(ctx, path); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, folder, "backup.db")
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		s.Overwrite(ctx, "t", "k", []byte("after"))

		b, err := kvstore.OpenExisting(path, kvstore.Options{SweepEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Tables(); !slices.Equal(got, []string{"other", "t"}) {
			t.Errorf("tables %q", got)
		}
		e, found, err := b.Get(ctx, "t", "k")
		if string(e.Value) != "v\x00\xff" || e.Counter != 1 || !e.ExpiresAt.Equal(expiry) || !found || err != nil {
			t.Errorf("got %+v %v %v", e, found, err)
		}
		if counter, err := b.Add(ctx, "other", "gone", nil); counter != 1 || err != nil {
			t.Errorf("counter %d, %v; want 1, above the deleted one", counter, err)
		}
		if err := errors.Join(b.Check(ctx), b.Close(ctx)); err != nil {
			t.Error(err)
		}

		// Again, over the one that is there.
		if err := s.Backup(ctx, path); err != nil {
			t.Fatal(err)
		}
		b = openPath(t, path, options())
		if got := mustGet(t, b, "k"); got != "after" {
			t.Errorf("got %s, want after", got)
		}
		err = s.Backup(ctx, path)
		wantErr(t, "over an open store", err, kvstore.ErrLocked)
		wantText(t, "over an open store", err, path)
	})
}

func TestBackupRefuses(t *testing.T) {
	s := openFile(t, options())
	ctx := watchdog(t)
	s.Add(ctx, "t", "k", []byte("v"))
	own := s.Path()
	folder := t.TempDir()
	link, hard := filepath.Join(folder, "link"), filepath.Join(folder, "hard")
	if err := errors.Join(os.Symlink(own, link), os.Link(own, hard)); err != nil {
		t.Skip(err)
	}
	crashed, killed := filepath.Join(folder, "crashed"), filepath.Join(folder, "killed")
	for _, name := range []string{crashed, crashed + "-wal", killed, killed + "-journal", killed + ".lock"} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, part := range map[string]string{
		own:              "the store itself",
		link:             "the store itself",
		hard:             "the store itself",
		own + "-wal":     "the store itself",
		own + "-shm":     "the store itself",
		own + "-journal": "the store itself",
		own + ".lock":    "the store itself",
		filepath.Dir(own) + "/../" + filepath.Base(filepath.Dir(own)) + "/store.db": "the store itself",
		crashed:                             "was not closed",
		killed:                              "was not closed",
		folder:                              "is a folder",
		"":                                  "path is empty",
		":memory:":                          "not a file",
		filepath.Join(folder, "no", "such"): "no such",
		os.DevNull:                          "not a regular file",
	} {
		err := s.Backup(ctx, path)
		wantText(t, path, err, part, "kvstore: backup to "+fmt.Sprintf("%q", path))
	}
	wantErr(t, "no folder", s.Backup(ctx, filepath.Join(folder, "no", "such")), fs.ErrNotExist)
	wantFiles(t, folder, "crashed", "crashed-wal", "hard", "killed", "killed-journal", "killed.lock", "link")
	wantFiles(t, filepath.Dir(own), "store.db", "store.db-shm", "store.db-wal", "store.db.lock")
	if got := mustGet(t, s, "k"); got != "v" {
		t.Errorf("got %s, want v", got)
	}
}

// Each procedure writes the same number to two tables: a backup has both or
// neither, and what was answered before it.
func TestBackupBesideWriters(t *testing.T) {
	o := options()
	o.CheckpointPages = 50
	o.Durability = kvstore.OSBuffered
	s := openFile(t, o)
	addRows(t, s, 500)
	ctx := watchdog(t)
	stop := make(chan struct{})
	var acked [4]int
	var mu sync.Mutex
	var writers sync.WaitGroup
	for w := range acked {
		writers.Go(func() {
			for n := 1; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				err := s.Execute(ctx, func(tx *kvstore.Tx) error {
					for _, table := range []string{"t", "other"} {
						if _, err := tx.Overwrite(table, fmt.Sprint("pair", w), fmt.Append(nil, n)); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acked[w] = n
				mu.Unlock()
			}
		})
	}
	folder := t.TempDir()
	for i := range 10 {
		mu.Lock()
		before := acked
		mu.Unlock()
		path := filepath.Join(folder, fmt.Sprint(i, ".db"))
		commits := s.Stats().Commits
		if err := s.Backup(ctx, path); err != nil {
			t.Fatal(err)
		}
		if s.Stats().Commits == commits {
			t.Log("no procedure ran beside this backup")
		}
		b, err := kvstore.OpenExisting(path, kvstore.Options{SweepEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		for w, least := range before {
			key := fmt.Sprint("pair", w)
			x, _, err1 := b.Get(ctx, "t", key)
			y, _, err2 := b.Get(ctx, "other", key)
			n := 0
			fmt.Sscan(string(x.Value), &n)
			if !bytes.Equal(x.Value, y.Value) || n < least || err1 != nil || err2 != nil {
				t.Errorf("backup %d: %s is %s and %s (%v %v), want a pair of at least %d", i, key, x.Value, y.Value, err1, err2, least)
			}
		}
		if err := errors.Join(b.Check(ctx), b.Close(ctx)); err != nil {
			t.Errorf("backup %d: %v", i, err)
		}
	}
	close(stop)
	writers.Wait()
}

// The writer is not held up: a procedure is answered while a backup runs.
func TestBackupLetsTheWriterGoOn(t *testing.T) {
	s := openFile(t, options())
	ctx := watchdog(t)
	addRows(t, s, 100)
	release := hold(t, ctx, s)
	if err := s.Backup(ctx, filepath.Join(t.TempDir(), "b.db")); err != nil {
		t.Error(err) // and it does not wait for the procedure that runs
	}
	release()
}

// interruptBackup backs up a store into the folder and calls act as soon as the
// temporary file is there. Should act come too late, it tries again with a
// store that takes longer.
func interruptBackup(t *testing.T, folder string, ctx context.Context, act func(*kvstore.Store)) (*kvstore.Store, error) {
	t.Helper()
	for rows := 20_000; ; rows *= 2 {
		s := openFile(t, options())
		addRows(t, s, rows)
		result := make(chan error, 1)
		go func() { result <- s.Backup(ctx, filepath.Join(folder, "b.db")) }()
		eventually(t, watchdog(t), "a temporary file", func() bool {
			names, _ := filepath.Glob(filepath.Join(folder, ".kvstore-backup-*.tmp"))
			return len(names) > 0
		})
		act(s)
		err := receive(t, watchdog(t), result)
		if err != nil || rows > 200_000 {
			return s, err
		}
		os.Remove(filepath.Join(folder, "b.db"))
	}
}

func TestCancelledBackup(t *testing.T) {
	folder := t.TempDir()
	ctx, cancel := context.WithCancel(watchdog(t))
	s, err := interruptBackup(t, folder, ctx, func(*kvstore.Store) { cancel() })
	wantErr(t, "cancelled", err, context.Canceled)
	wantText(t, "cancelled", err, "b.db")
	wantFiles(t, folder)
	wantErr(t, "cancelled before", s.Backup(ctx, filepath.Join(folder, "b.db")), context.Canceled)
	wantFiles(t, folder)
	if err := s.Backup(watchdog(t), filepath.Join(folder, "b.db")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestCloseEndsABackup(t *testing.T) {
	folder := t.TempDir()
	closed := make(chan error, 8)
	s, err := interruptBackup(t, folder, watchdog(t), func(s *kvstore.Store) { closed <- s.Close(watchdog(t)) })
	wantErr(t, "backup", err, kvstore.ErrClosed)
	wantText(t, "backup", err, "b.db")
	if err := receive(t, watchdog(t), closed); err != nil {
		t.Errorf("close: %v", err)
	}
	wantFiles(t, folder)
	wantErr(t, "after Close", s.Backup(watchdog(t), filepath.Join(folder, "b.db")), kvstore.ErrClosed)
	wantErr(t, "check after Close", s.Check(watchdog(t)), kvstore.ErrClosed)
}

func TestCheck(t *testing.T) {
	eachKind(t, options(), func(t *testing.T, s *kvstore.Store) {
		addRows(t, s, 100)
		if err := s.Check(watchdog(t)); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantErr(t, "cancelled", s.Check(ctx), context.Canceled)
	})
}

func TestCheckFindsDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := kvstore.Open(path, options())
	if err != nil {
		t.Fatal(err)
	}
	addRows(t, s, 100)
	if err := s.Close(watchdog(t)); err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(image[len(image)-4096:])
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openPath(t, path, options())
	err = s.Check(watchdog(t))
	wantErr(t, "check", err, kvstore.ErrCorrupt)
	wantText(t, "check", err, "kvstore: check: ")
	if s.Err() != nil {
		t.Errorf("the store stopped: %v", s.Err())
	}
	err = s.Backup(watchdog(t), filepath.Join(t.TempDir(), "b.db"))
	wantErr(t, "backup of it", err, kvstore.ErrCorrupt)
}

func ExampleStore_Backup() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "kvstore")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	store, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables("users")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close(ctx)
	store.Add(ctx, "users", "alice", []byte("Alice A."))

	path := filepath.Join(folder, "backup.db")
	fmt.Println(store.Backup(ctx, path))

	backup, err := kvstore.OpenExisting(path, kvstore.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer backup.Close(ctx)
	alice, _, err := backup.Get(ctx, "users", "alice")
	fmt.Printf("%s %v\n", alice.Value, err)
	// Output:
	// <nil>
	// Alice A. <nil>
}
