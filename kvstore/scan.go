package kvstore

import (
	"iter"

	"zombiezen.com/go/sqlite"
)

// Range selects keys of a table. The zero Range is the whole table, ascending.
// Keys compare as bytes; the conditions hold together.
type Range struct {
	Prefix  string // keys that begin with it
	Start   string // keys >= Start
	End     string // keys < End; empty: no end
	Reverse bool   // from the last key to the first
	Limit   int    // at most so many keys; 0 or less: all
}

// bounds returns the range as start <= key < end, where an empty end is none.
func (r Range) bounds() (start, end string) {
	start, end = max(r.Start, r.Prefix), r.End
	if above := prefixEnd(r.Prefix); above != "" && (end == "" || above < end) {
		end = above
	}
	return start, end
}

// prefixEnd returns the first key above all that begin with prefix, or "" when
// there is no such key.
func prefixEnd(prefix string) string {
	b := []byte(prefix)
	for len(b) > 0 {
		last := len(b) - 1
		if b[last] < 0xff {
			b[last]++
			return string(b)
		}
		b = b[:last]
	}
	return ""
}

// A page of a scan ends at whichever comes first.
const (
	pageRows  = 256
	pageBytes = 1 << 20 // of keys and values
)

// Keys iterates over the keys of the range, in order. A failure is yielded as
// the last pair. Errors: [ErrNoTable] and those of ReadTx.
//
// The keys are read in pages, and none is open while the loop's body runs: the
// body may write, also to this table, and may break. Whether the loop still
// meets what its body writes further on is not defined.
func (t *ReadTx) Keys(table string, r Range) iter.Seq2[string, error] {
	id := stmtKeys
	if r.Reverse {
		id = stmtKeysReverse
	}
	return func(yield func(string, error) bool) {
		for e, err := range t.scan(table, r, id, readKey) {
			if !yield(e.Key, err) {
				return
			}
		}
	}
}

// Entries iterates over the entries of the range, in the order of their keys.
// What Keys says about errors, pages and writing holds here too.
func (t *ReadTx) Entries(table string, r Range) iter.Seq2[Entry, error] {
	id := stmtEntries
	if r.Reverse {
		id = stmtEntriesReverse
	}
	return t.scan(table, r, id, readEntry)
}

// ListKeys returns all keys of the table, in order. Use Keys for a table that
// may be large. Errors: [ErrNoTable] and those of ReadTx.
func (t *ReadTx) ListKeys(table string) ([]string, error) {
	var keys []string
	for key, err := range t.Keys(table, Range{}) {
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func readKey(s *sqlite.Stmt) Entry   { return Entry{Key: s.ColumnText(0)} }
func readEntry(s *sqlite.Stmt) Entry { return entry(s.ColumnText(0), s, 1) }

// scan yields the rows of r, as read makes them.
func (t *ReadTx) scan(table string, r Range, id statement, read func(*sqlite.Stmt) Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		start, end := r.bounds()
		for left := r.Limit; ; {
			rows := pageRows
			if r.Limit > 0 {
				rows = min(rows, left)
			}
			page, more, err := t.page(table, start, end, rows, id, read)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range page {
				if err := t.usable(); err != nil {
					yield(Entry{}, err)
					return
				}
				if !yield(e, nil) {
					return
				}
			}
			left -= len(page)
			if !more || r.Limit > 0 && left == 0 {
				return
			}
			last := page[len(page)-1].Key
			if r.Reverse {
				if last == "" {
					return // nothing is below it, and an empty end would be none
				}
				end = last
			} else {
				start = last + "\x00" // the very next key
			}
		}
	}
}

// page reads up to rows rows from start on, below end, and reports whether
// there may be more.
func (t *ReadTx) page(table, start, end string, rows int, id statement,
	read func(*sqlite.Stmt) Entry) (page []Entry, more bool, err error) {
	tb, err := t.enter("list", table, "")
	if err != nil {
		return nil, false, err
	}
	if len(start) > maxRecord || len(end) > maxRecord {
		return nil, false, &KeyError{"list", table, "", ErrTooLarge}
	}
	stmt, err := t.c.stmt(tb, id)
	if err != nil {
		return nil, false, t.fail("list", err)
	}
	defer finish(stmt)
	stmt.BindText(1, start)
	if end == "" {
		stmt.BindBytes(2, nil)
	} else {
		stmt.BindText(2, end)
	}
	stmt.BindInt64(3, t.now)
	stmt.BindInt64(4, int64(rows))
	for size := 0; len(page) < rows; {
		row, err := stmt.Step()
		if err != nil {
			return nil, false, t.fail("list", err)
		}
		if !row {
			return page, false, nil
		}
		e := read(stmt)
		page = append(page, e)
		if size += len(e.Key) + len(e.Value); size >= pageBytes {
			break
		}
	}
	return page, true, nil
}
