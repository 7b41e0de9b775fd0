package kvstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
)

// Follow is Watch for a file that somebody else has open, or nobody: it takes no
// lock, writes nothing, and goes on when the program that has the file ends and
// another one comes. It yields pages as WatchPages does: first all entries whose keys
// begin with prefix, in an empty page if there are none, then for ever the latest
// state of those that were changed. A removed one has a nil Value and only its Key
// besides. Case does not count in the table's name.
//
// It asks the file twenty times a second whether anything was committed, which costs
// microseconds. If so it reads the whole range and compares the counters with those
// that it has seen: that costs a microsecond or two for each entry of the range,
// whose keys are kept in memory. A look that takes long is followed by a pause as
// long. So what changes twice in between is seen once, and what comes and goes in
// between is not seen. An entry that has expired is yielded as removed with the next
// change of the file, at the latest when it is swept.
//
// No snapshot stays open between pages: the log of a store that is being written to
// starts over as if nobody looked on. The loop's body may take its time.
//
// A failure is yielded as the last pair: the context's error, [ErrNoTable] with the
// tables that there are, [ErrCorrupt], those of package os, and others that say why
// the file cannot be read: it is no store, or was replaced by another file.
func Follow(ctx context.Context, path, table, prefix string) iter.Seq2[[]Entry, error] {
	return func(yield func([]Entry, error) bool) {
		f, err := openFollower(path, table, prefix)
		if err == nil {
			err = f.run(ctx, yield)
			f.c.close() // it has written nothing that could be lost
		}
		if err != errBreak {
			yield(nil, fmt.Errorf("kvstore: follow %q: %w", path, &barePrefix{err}))
		}
	}
}

// followEvery is the pause between two looks, if they do not take long.
const followEvery = 50 * time.Millisecond

type follower struct {
	path   string
	file   os.FileInfo // at path, when it was opened
	s      *Store      // never started: it knows the tables, for ReadTx
	c      *conn
	table  string
	within Range

	seen map[string]sighting
	look uint64        // number of the present one
	took time.Duration // to read in it
}

// sighting is the counter that a key had when it was last seen. Counters are never
// used again, so an equal one means that nothing has happened.
type sighting struct{ counter, look uint64 }

func openFollower(path, table, prefix string) (f *follower, err error) {
	f = &follower{within: Range{Prefix: prefix}, seen: map[string]sighting{}}
	if f.path, err = resolve(path); err != nil {
		return nil, err
	}
	if f.file, err = os.Stat(f.path); err != nil {
		return nil, err
	}
	if f.s, err = newStore(Options{existing: true}); err != nil {
		return nil, err
	}
	if f.c, err = openConn(f.path, sqlite.OpenReadOnly, 0, readerCache); err != nil {
		return nil, notFatal(err)
	}
	if err := f.findTable(table); err != nil {
		f.c.close()
		return nil, notFatal(err)
	}
	return f, nil
}

func (f *follower) findTable(name string) error {
	version, err := checkFile(f.c)
	if err != nil {
		return err
	}
	if version < schemaVersion {
		return fmt.Errorf("schema version %d is older than this program's: open it as a store first", version)
	}
	if err := f.s.declareFound(f.c); err != nil {
		return err
	}
	f.c.stmts = make([]*sqlite.Stmt, len(f.s.order)*int(nStatements))
	names := f.s.Tables()
	i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
	if i < 0 {
		return fmt.Errorf("table %q: %w; there are: %s", name, &barePrefix{ErrNoTable}, strings.Join(names, ", "))
	}
	f.table = names[i]
	return nil
}

func (f *follower) run(ctx context.Context, yield func([]Entry, error) bool) error {
	for last := int64(-1); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if now, err := os.Stat(f.path); err != nil {
			return err
		} else if !os.SameFile(f.file, now) {
			return errors.New("it was replaced by another file")
		}
		// Before the look: what is committed during it is worth another one.
		version, err := f.c.number("PRAGMA data_version")
		if err != nil {
			return notFatal(err)
		}
		f.took = 0
		if version != last {
			last = version
			if err := f.lookAround(ctx, yield); err != nil {
				return err
			}
		}
		select {
		case <-time.After(max(followEvery, f.took)):
		case <-ctx.Done():
		}
	}
}

// lookAround yields what differs from the last look.
func (f *follower) lookAround(ctx context.Context, yield func([]Entry, error) bool) error {
	f.look++
	start, end := f.within.bounds()
	for first, more := f.look == 1, true; more; first = false {
		began := time.Now()
		tx := &ReadTx{s: f.s, c: f.c, ctx: ctx, now: began.UnixMilli()}
		page, goesOn, err := tx.page(f.table, start, end, pageRows, stmtEntries, f.read)
		if err != nil {
			return notFatal(err)
		}
		if more = goesOn; more {
			start = page[len(page)-1].Key + "\x00" // the very next key
		}
		changed := slices.DeleteFunc(page, func(e Entry) bool { return e.Value == nil })
		f.took += time.Since(began)
		if (first || len(changed) > 0) && !yield(changed, nil) {
			return errBreak
		}
	}
	return f.missing(yield)
}

// read returns the row's entry, without its value if that is known.
func (f *follower) read(s *sqlite.Stmt) Entry {
	e := Entry{Key: s.ColumnText(0), Counter: uint64(s.ColumnInt64(1))}
	before, known := f.seen[e.Key]
	f.seen[e.Key] = sighting{e.Counter, f.look}
	if known && before.counter == e.Counter {
		return e
	}
	return entry(e.Key, s, 1)
}

// missing yields the keys that the look has not found any more, and forgets them.
func (f *follower) missing(yield func([]Entry, error) bool) error {
	var gone []Entry
	for key, last := range f.seen {
		if last.look != f.look {
			gone = append(gone, Entry{Key: key})
			delete(f.seen, key)
		}
	}
	slices.SortFunc(gone, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	for page := range slices.Chunk(gone, pageRows) {
		if !yield(page, nil) {
			return errBreak
		}
	}
	return nil
}
