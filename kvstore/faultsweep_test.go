package kvstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	lib "modernc.org/sqlite/lib"

	"postern/internal/faultvfs"
	"postern/kvstore"
)

// ledger is a script that several callers run against a store, and what they
// were answered. Each procedure writes its name as a key into two tables and
// counts itself in a third place, so that half of one shows.
type ledger struct {
	mu       sync.Mutex
	answers  map[string]error // by name of the procedure
	problems []error          // seen on the way
}

// errRefused is what some procedures of the script return.
var errRefused = errors.New("refused")

// run runs the script, of so many procedures for each caller, the last of which
// refuses, and returns when everybody was answered.
func (l *ledger) run(ctx context.Context, s *kvstore.Store, callers, each int) {
	l.answers = map[string]error{}
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			for i := range each {
				name := fmt.Sprintf("%d.%d", caller, i)
				err := s.Execute(ctx, func(tx *kvstore.Tx) error {
					if err := enterPair(tx, name); err != nil {
						return err
					}
					if i == each-1 {
						return errRefused
					}
					return nil
				})
				l.answer(name, err)
				_, found, readErr := s.Get(ctx, "t", name)
				if readErr == nil && err == nil != found && !errors.Is(err, kvstore.ErrIndeterminate) {
					l.problem("%s: answered %v, then found: %v", name, err, found)
				}
			}
		})
	}
	group.Wait()
}

func (l *ledger) answer(name string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers[name] = err
}

func (l *ledger) problem(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problems = append(l.problems, fmt.Errorf(format, args...))
}

// pairValue makes the log grow by some pages with each pair.
var pairValue = make([]byte, 1000)

// enterPair writes name into two tables and adds one to the total.
func enterPair(tx *kvstore.Tx, name string) error {
	for _, table := range []string{"t", "other"} {
		if _, err := tx.Add(table, name, pairValue); err != nil {
			return err
		}
	}
	e, _, err := tx.Get("t", "total")
	if err != nil {
		return err
	}
	total, _ := strconv.Atoi(string(e.Value)) // none is 0
	_, err = tx.Overwrite("t", "total", strconv.AppendInt(nil, int64(total)+1, 10))
	return err
}

// readPairs returns the names that are in the store and reports what cannot
// be: halves of a procedure, or damage.
func readPairs(ctx context.Context, s *kvstore.Store) (map[string]bool, error) {
	present := map[string]bool{}
	err := s.View(ctx, func(tx *kvstore.ReadTx) error {
		names, err := tx.ListKeys("other")
		if err != nil {
			return err
		}
		for _, name := range names {
			present[name] = true
		}
		total := 0
		for e, err := range tx.Entries("t", kvstore.Range{}) {
			switch {
			case err != nil:
				return err
			case e.Key == "total":
				total, _ = strconv.Atoi(string(e.Value))
			case !present[e.Key]:
				return fmt.Errorf("%s is in the first table only", e.Key)
			case len(e.Value) != len(pairValue):
				return fmt.Errorf("%s has a value of %d bytes", e.Key, len(e.Value))
			}
		}
		if n, err := tx.ListKeys("t"); err != nil || len(n) > 0 && len(n)-1 != len(names) {
			return fmt.Errorf("%d names in the second table, %d keys in the first, %v", len(names), len(n), err)
		}
		if total != len(names) {
			return fmt.Errorf("the total is %d with %d names", total, len(names))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	bad, err := s.Number(ctx, `SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'`)
	if err == nil && bad != 0 {
		err = fmt.Errorf("integrity check finds %d faults", bad)
	}
	return present, err
}

// check compares the answers with the file at path, which it opens.
func (l *ledger) check(ctx context.Context, path string) error {
	s, err := kvstore.Open(path, options())
	if err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	present, err := readPairs(ctx, s)
	problems := append(l.problems, err, s.Close(ctx))
	for name, answer := range l.answers {
		switch {
		case errors.Is(answer, kvstore.ErrIndeterminate):
		case answer == nil && !present[name]:
			problems = append(problems, fmt.Errorf("%s was answered and is lost", name))
		case answer != nil && present[name]:
			problems = append(problems, fmt.Errorf("%s failed with %w and is there", name, answer))
		}
	}
	return errors.Join(problems...)
}

// sweep says what the store makes of one kind of fault.
type sweep struct {
	op     faultvfs.Op
	code   int32
	fatal  bool // it stops the store if it meets a procedure
	always bool // and while the store is open it meets nothing else

	callers, each int // size of the script
}

var sweeps = []sweep{
	{op: faultvfs.Write, code: lib.SQLITE_FULL},
	{op: faultvfs.Write, code: lib.SQLITE_IOERR_WRITE},
	{op: faultvfs.Sync, code: lib.SQLITE_IOERR_FSYNC, fatal: true, always: true},
	{op: faultvfs.Read, code: lib.SQLITE_IOERR_READ, fatal: true},
	{op: faultvfs.Truncate, code: lib.SQLITE_IOERR_TRUNCATE, fatal: true},
	{op: faultvfs.Open, code: lib.SQLITE_CANTOPEN, fatal: true},
	{op: faultvfs.Delete, code: lib.SQLITE_IOERR_DELETE, fatal: true},
	{op: faultvfs.ShmMap, code: lib.SQLITE_IOERR_SHMMAP, fatal: true},
	{op: faultvfs.Lock, code: lib.SQLITE_IOERR_LOCK, fatal: true},
	{op: faultvfs.ShmLock, code: lib.SQLITE_IOERR_SHMLOCK, fatal: true},
}

// Every operation of the disk fails, one in each run and from one on in
// another, until a run meets no fault any more.
func TestFaultSweep(t *testing.T) {
	for _, from := range []struct {
		name          string
		pairs         int // in the file when it is opened; -1: there is no file
		callers, each int
	}{
		{"new file", -1, 1, 2}, // the faults meet the making of the file
		{"old file", 20, 3, 3},
	} {
		start := sweepStart(t, from.pairs)
		for _, sw := range sweeps {
			sw.callers, sw.each = from.callers, from.each
			for _, forever := range []bool{false, true} {
				name := fmt.Sprintf("%s/%v %d forever=%v", from.name, sw.op, sw.code, forever)
				t.Run(name, func(t *testing.T) {
					for n := 1; ; n++ {
						f := faultvfs.Fault{Op: sw.op, Code: sw.code, N: n, Forever: forever}
						if !sw.run(t, start, f) {
							t.Logf("%d runs", n)
							return
						}
					}
				})
			}
		}
	}
}

// sweepStart returns the content of a closed store with so many pairs.
func sweepStart(t *testing.T, pairs int) []byte {
	if pairs < 0 {
		return nil
	}
	path := filepath.Join(t.TempDir(), "store.db")
	ctx := watchdog(t)
	s, err := kvstore.Open(path, options())
	if err != nil {
		t.Fatal(err)
	}
	for i := range pairs {
		err := s.Execute(ctx, func(tx *kvstore.Tx) error { return enterPair(tx, fmt.Sprint("old", i)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run runs the script once with one fault and reports whether it met it.
func (sw *sweep) run(t *testing.T, start []byte, f faultvfs.Fault) (met bool) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "store.db")
	if start != nil {
		if err := os.WriteFile(path, start, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	disk, err := faultvfs.Mount(dir, faultvfs.Config{NoFlush: true})
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Unmount()
	disk.Inject(f)

	ctx := watchdog(t)
	type result struct {
		met bool
		err error
	}
	ended := make(chan result, 1)
	go func() { // so that nothing in it can hang the test
		met, err := sw.script(ctx, disk, path)
		ended <- result{met, err}
	}()
	select {
	case r := <-ended:
		if r.err != nil {
			t.Errorf("fault %d: %v", f.N, r.err)
		}
		return r.met
	case <-ctx.Done():
		t.Fatalf("fault %d: hangs", f.N)
		return false
	}
}

// script opens the store, runs the ledger's script, closes, and checks it all.
func (sw *sweep) script(ctx context.Context, disk *faultvfs.Disk, path string) (met bool, err error) {
	o := options()
	o.CheckpointPages = 12 // so that some checkpoints fall into the script
	o.Readers = 2
	s, err := kvstore.Open(path, o)
	l := &ledger{}
	if err != nil {
		if disk.Failed() == 0 {
			return true, fmt.Errorf("open: %w", err)
		}
		disk.Clear()
		return true, l.check(ctx, path)
	}
	l.run(ctx, s, sw.callers, sw.each)
	if met = disk.Failed() > 0; met {
		sw.judge(ctx, l, s)
		disk.Clear()
		goesOn(ctx, l, s)
	}
	err = s.Close(ctx)
	switch {
	case disk.Failed() > 0: // in closing, then
		met = true
	case err != nil:
		l.problem("close: %w", err)
	}
	disk.Clear()
	return met, l.check(ctx, path)
}

// judge looks at the answers of a run that met its fault, while it lasts.
func (sw *sweep) judge(ctx context.Context, l *ledger, s *kvstore.Store) {
	stopped := s.Err()
	if stopped != nil && (!sw.fatal || !errors.Is(stopped, kvstore.ErrStopped)) {
		l.problem("the store stopped: %w", stopped)
	}
	if stopped == nil && sw.always {
		l.problem("the store did not stop")
	}
	for name, err := range l.answers {
		is := func(target error) bool { return errors.Is(err, target) }
		switch {
		case err == nil, err == errRefused:
		case !sw.fatal && is(kvstore.ErrFull) && !is(kvstore.ErrStopped) && !is(kvstore.ErrIndeterminate):
		case sw.fatal && is(kvstore.ErrStopped) && stopped != nil:
		default:
			l.problem("%s failed with %w", name, err)
		}
	}
}

// goesOn looks at the store after the fault has gone: either it works, or it
// has stopped for good and says so.
func goesOn(ctx context.Context, l *ledger, s *kvstore.Store) {
	err := s.Execute(ctx, func(tx *kvstore.Tx) error { return enterPair(tx, "after") })
	l.answer("after", err)
	_, found, viewErr := s.Get(ctx, "t", "after")
	if s.Err() == nil {
		if err != nil || viewErr != nil || !found {
			l.problem("after the fault: %w, view: %w, found: %v", err, viewErr, found)
		}
		return
	}
	if !errors.Is(err, kvstore.ErrStopped) || !errors.Is(viewErr, kvstore.ErrStopped) {
		l.problem("after the store has stopped: %w, view: %w", err, viewErr)
	}
}
