package faultvfs_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"postern/internal/faultvfs"
)

// mount lays a disk under a new folder for the time of the test.
func mount(t *testing.T, c faultvfs.Config) (disk *faultvfs.Disk, folder string) {
	t.Helper()
	folder = t.TempDir()
	disk, err := faultvfs.Mount(folder, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(disk.Unmount)
	return disk, folder
}

// open opens a database that keeps a write-ahead log.
func open(t *testing.T, path string) *sqlite.Conn {
	t.Helper()
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for _, sql := range []string{
		"PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = FULL",
		"PRAGMA wal_autocheckpoint = 0",
		"CREATE TABLE IF NOT EXISTS t (n INTEGER)",
	} {
		if err := exec(c, sql); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func exec(c *sqlite.Conn, sql string) error { return sqlitex.ExecuteTransient(c, sql, nil) }

func number(t *testing.T, c *sqlite.Conn, sql string) (n int64) {
	t.Helper()
	err := sqlitex.ExecuteTransient(c, sql, &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		n = s.ColumnInt64(0)
		return nil
	}})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// reopen opens the database once more and reads from it.
func reopen(_ *sqlite.Conn, path string) error {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	defer c.Close()
	return exec(c, "SELECT * FROM t")
}

func TestEveryOperationCanFail(t *testing.T) {
	for _, c := range []struct {
		fault faultvfs.Fault
		do    func(c *sqlite.Conn, path string) error
	}{
		{faultvfs.Fault{Op: faultvfs.Open, Code: lib.SQLITE_CANTOPEN},
			reopen},
		{faultvfs.Fault{Op: faultvfs.Delete, Code: lib.SQLITE_IOERR_DELETE},
			func(_ *sqlite.Conn, path string) error {
				c, err := sqlite.OpenConn(path+"2", sqlite.OpenReadWrite|sqlite.OpenCreate)
				if err == nil {
					err = exec(c, "CREATE TABLE IF NOT EXISTS t (n)") // ends by deleting the journal
					c.Close()
				}
				return err
			}},
		{faultvfs.Fault{Op: faultvfs.Read, Code: lib.SQLITE_IOERR_READ},
			func(c *sqlite.Conn, _ string) error {
				if err := exec(c, "PRAGMA shrink_memory"); err != nil {
					return err
				}
				return exec(c, "SELECT * FROM t")
			}},
		{faultvfs.Fault{Op: faultvfs.Write, Suffix: "-wal", Code: lib.SQLITE_FULL},
			func(c *sqlite.Conn, _ string) error { return exec(c, "INSERT INTO t VALUES (1)") }},
		{faultvfs.Fault{Op: faultvfs.Write, Suffix: ".db", Code: lib.SQLITE_IOERR_WRITE},
			func(c *sqlite.Conn, _ string) error { return exec(c, "PRAGMA wal_checkpoint(FULL)") }},
		{faultvfs.Fault{Op: faultvfs.Truncate, Code: lib.SQLITE_IOERR_TRUNCATE},
			func(c *sqlite.Conn, _ string) error { return exec(c, "PRAGMA wal_checkpoint(TRUNCATE)") }},
		{faultvfs.Fault{Op: faultvfs.Sync, Code: lib.SQLITE_IOERR_FSYNC},
			func(c *sqlite.Conn, _ string) error { return exec(c, "INSERT INTO t VALUES (1)") }},
		{faultvfs.Fault{Op: faultvfs.ShmMap, Code: lib.SQLITE_IOERR_SHMMAP},
			reopen},
		{faultvfs.Fault{Op: faultvfs.Lock, Code: lib.SQLITE_IOERR_LOCK},
			reopen},
		{faultvfs.Fault{Op: faultvfs.ShmLock, Code: lib.SQLITE_IOERR_SHMLOCK},
			func(c *sqlite.Conn, _ string) error { return exec(c, "SELECT * FROM t") }},
	} {
		t.Run(c.fault.Op.String()+c.fault.Suffix, func(t *testing.T) {
			disk, folder := mount(t, faultvfs.Config{})
			path := filepath.Join(folder, "x.db")
			conn := open(t, path)
			before := disk.Count(c.fault.Op)
			disk.Inject(c.fault)
			err := c.do(conn, path)
			if got := int32(sqlite.ErrCode(err)); got != c.fault.Code {
				t.Errorf("failed with %v (%d), want code %d", err, got, c.fault.Code)
			}
			if n := disk.Failed(); n != 1 {
				t.Errorf("%d operations failed, want 1", n)
			}
			if disk.Count(c.fault.Op) == before {
				t.Error("it was not counted")
			}
			if err := c.do(conn, path); err != nil {
				t.Errorf("the second time: %v", err)
			}
			if n := number(t, conn, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"); n != 0 {
				t.Errorf("integrity check finds %d faults", n)
			}
		})
	}
}

func TestFaultChoosesItsOperations(t *testing.T) {
	disk, folder := mount(t, faultvfs.Config{})
	c := open(t, filepath.Join(folder, "x.db"))
	outcomes := func(f faultvfs.Fault) (failed []int) {
		disk.Clear()
		disk.Inject(f)
		for i := range 5 {
			if exec(c, "INSERT INTO t VALUES (1)") != nil { // one flush each, of the log
				failed = append(failed, i+1)
			}
		}
		return failed
	}
	for _, x := range []struct {
		fault faultvfs.Fault
		want  []int
	}{
		{faultvfs.Fault{}, []int{1}},
		{faultvfs.Fault{N: 3}, []int{3}},
		{faultvfs.Fault{N: 3, Forever: true}, []int{3, 4, 5}},
		{faultvfs.Fault{N: 6}, nil},
		{faultvfs.Fault{N: 2, Suffix: "-wal"}, []int{2}},
		{faultvfs.Fault{N: 2, Suffix: ".db", Forever: true}, nil},
	} {
		x.fault.Op, x.fault.Code = faultvfs.Sync, lib.SQLITE_IOERR_FSYNC
		if got := outcomes(x.fault); !slices.Equal(got, x.want) {
			t.Errorf("%+v: inserts %v failed, want %v", x.fault, got, x.want)
		}
		if got := disk.Failed(); got != len(x.want) {
			t.Errorf("%+v: Failed says %d, want %d", x.fault, got, len(x.want))
		}
	}
}

func TestOtherFoldersAreLeftAlone(t *testing.T) {
	disk, _ := mount(t, faultvfs.Config{})
	for op := faultvfs.Open; op <= faultvfs.ShmLock; op++ {
		disk.Inject(faultvfs.Fault{Op: op, Forever: true, Code: lib.SQLITE_IOERR})
	}
	c := open(t, filepath.Join(t.TempDir(), "x.db"))
	if err := exec(c, "INSERT INTO t VALUES (1)"); err != nil {
		t.Error(err)
	}
	if n := disk.Failed() + disk.Count(faultvfs.Write); n != 0 {
		t.Errorf("the disk saw %d operations", n)
	}
}

func TestMount(t *testing.T) {
	disk, folder := mount(t, faultvfs.Config{})
	if _, err := faultvfs.Mount(folder, faultvfs.Config{}); err == nil {
		t.Error("two disks in one folder")
	}
	if _, err := faultvfs.Mount(filepath.Join(folder, "none"), faultvfs.Config{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if err := disk.Image(t.TempDir(), rand.New(rand.NewPCG(1, 1))); err == nil {
		t.Error("an image of a disk that is not tracked")
	}
	disk.Unmount()
	disk.Unmount()
	again, err := faultvfs.Mount(folder, faultvfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	disk.Unmount() // takes away itself only
	open(t, filepath.Join(folder, "x.db"))
	if again.Count(faultvfs.Open) == 0 || disk.Count(faultvfs.Open) != 0 {
		t.Error("the file was opened on the wrong disk")
	}
	again.Unmount()
}

// Every insert is one transaction, so an image holds those that were flushed,
// perhaps the one under way, and nothing else.
func TestImage(t *testing.T) {
	for _, c := range []struct {
		name  string
		lie   bool
		loses bool
	}{
		{"honest", false, false},
		{"lying", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var disk *faultvfs.Disk
			rng := rand.New(rand.NewPCG(1, 2))
			inserted, images, lost := 0, 0, 0
			disk, folder := mount(t, faultvfs.Config{Track: true, NoFlush: true, Lie: c.lie, OnSync: func(string, bool) {
				if inserted < 0 {
					return
				}
				images++
				dir := t.TempDir()
				if err := disk.Image(dir, rng); err != nil {
					t.Error(err)
				}
				n, err := recovered(filepath.Join(dir, "x.db"))
				if n > int64(inserted)+1 {
					t.Errorf("%d rows after %d inserts", n, inserted)
				}
				if err != nil || n < int64(inserted) {
					lost++
				}
			}})
			inserted = -1 // no images of a database that is still being made
			conn := open(t, filepath.Join(folder, "x.db"))
			for inserted = range 40 {
				sql := "INSERT INTO t VALUES (1)"
				if err := exec(conn, sql); err != nil {
					t.Fatal(err)
				}
				if inserted%7 == 6 {
					inserted++
					if err := exec(conn, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
						t.Fatal(err)
					}
				}
			}
			inserted = -1
			if images < 80 {
				t.Errorf("only %d images", images)
			}
			if (lost > 0) != c.loses {
				t.Errorf("%d of %d images lost something", lost, images)
			}
		})
	}
}

// recovered returns the number of rows in a database found after a crash.
func recovered(path string) (n int64, err error) {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	err = sqlitex.ExecuteTransient(c, "SELECT count(*) FROM t", &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		n = s.ColumnInt64(0)
		return nil
	}})
	return n, err
}

func TestEqualSeedsGiveEqualImages(t *testing.T) {
	disk, folder := mount(t, faultvfs.Config{Track: true, Lie: true})
	c := open(t, filepath.Join(folder, "x.db"))
	for range 10 {
		if err := exec(c, "INSERT INTO t VALUES (1)"); err != nil {
			t.Fatal(err)
		}
	}
	image := func(seed uint64) string {
		dir := t.TempDir()
		if err := disk.Image(dir, rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatal(err)
		}
		all := ""
		names, _ := filepath.Glob(dir + "/*")
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all += fmt.Sprintf("%s %d\n%s", filepath.Base(name), len(b), b)
		}
		return all
	}
	different := map[string]bool{}
	for seed := range uint64(20) {
		a := image(seed)
		if b := image(seed); a != b {
			t.Errorf("seed %d gives two images, of %d and %d bytes", seed, len(a), len(b))
		}
		different[a] = true
	}
	if len(different) < 5 {
		t.Errorf("20 seeds gave %d images", len(different))
	}
}

func TestSyncDelay(t *testing.T) {
	const delay = 2 * time.Millisecond
	disk, folder := mount(t, faultvfs.Config{SyncDelay: delay, NoFlush: true})
	c := open(t, filepath.Join(folder, "x.db"))
	before, start := disk.Count(faultvfs.Sync), time.Now()
	for range 5 {
		if err := exec(c, "INSERT INTO t VALUES (1)"); err != nil {
			t.Fatal(err)
		}
	}
	flushes := disk.Count(faultvfs.Sync) - before
	if took := time.Since(start); flushes < 5 || took < time.Duration(flushes)*delay {
		t.Errorf("%d flushes took %v, want at least %v each", flushes, took, delay)
	}
}

// The engine is used by a writer and readers at once, with images, counts and
// faults taken and set from outside.
func TestConcurrency(t *testing.T) {
	disk, folder := mount(t, faultvfs.Config{Track: true, NoFlush: true})
	path := filepath.Join(folder, "x.db")
	writer := open(t, path)
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 3 {
		reader, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			defer reader.Close()
			for {
				if err := exec(reader, "SELECT * FROM t"); err != nil {
					t.Error(err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	dir := t.TempDir()
	group.Go(func() {
		rng := rand.New(rand.NewPCG(1, 1))
		for {
			if err := disk.Image(dir, rng); err != nil {
				t.Error(err)
				return
			}
			disk.Clear()
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for range 100 {
		if err := exec(writer, "INSERT INTO t VALUES (1)"); err != nil {
			t.Error(err)
		}
	}
	close(done)
	group.Wait()
	if n := number(t, writer, "SELECT count(*) FROM t"); n != 100 {
		t.Errorf("%d rows, want 100", n)
	}
}
