package kvstore

import (
	"iter"
	"time"
)

// Reader is what a Typed reads with. *ReadTx and *Tx are Readers, and so may
// be the transactions of other engines.
type Reader interface {
	Get(table, key string) (Entry, bool, error)
	Entries(table string, r Range) iter.Seq2[Entry, error]
}

// Writer is what a Typed writes with. *Tx is one.
type Writer interface {
	Reader
	Add(table, key string, value []byte, options ...PutOption) (uint64, error)
	Update(table, key string, value []byte, counter uint64, options ...PutOption) (uint64, error)
	TryUpdate(table, key string, value []byte, counter uint64, options ...PutOption) (bool, error)
	Overwrite(table, key string, value []byte, options ...PutOption) (uint64, error)
	Delete(table, key string) (bool, error)
}

// Codec turns values of type T into bytes and back. It is used by several
// goroutines at once.
type Codec[T any] interface {
	// Append appends the bytes of v to dst and returns the extended slice.
	Append(dst []byte, v T) ([]byte, error)
	// Decode returns the value that data stands for. data is the caller's to
	// keep: no one else has it.
	Decode(data []byte) (T, error)
}

// Typed is a table whose values are of type T. It holds no data and belongs to
// no store: make one for each table, at package level if you like, and hand it
// the transaction at every call.
//
// Errors are those of the method of the same name on [Tx] or [ReadTx], and a
// [KeyError] around what the codec says. The transaction stays usable after
// it, and nothing was written.
type Typed[T any] struct {
	table string
	codec Codec[T]
}

// NewTyped returns the table of that name with values in that coding. The
// store must have been opened with the table. A nil codec panics.
func NewTyped[T any](table string, c Codec[T]) Typed[T] {
	if c == nil {
		panic("kvstore: NewTyped with a nil codec")
	}
	return Typed[T]{table, c}
}

// TypedEntry is an [Entry] with its value decoded.
type TypedEntry[T any] struct {
	Key       string
	Value     T
	Counter   uint64
	ExpiresAt time.Time // UTC, whole milliseconds, last instant of life; zero: never
}

// Table returns the table's name.
func (t Typed[T]) Table() string { return t.table }

// Get returns the entry of key, or false when there is none.
func (t Typed[T]) Get(tx Reader, key string) (TypedEntry[T], bool, error) {
	e, found, err := tx.Get(t.table, key)
	if err != nil || !found {
		return TypedEntry[T]{}, false, err
	}
	typed, err := t.decode("get", e)
	return typed, err == nil, err
}

// Entries iterates over the entries of the range as [ReadTx.Entries] does. A
// value that cannot be decoded ends the loop with an error.
func (t Typed[T]) Entries(tx Reader, r Range) iter.Seq2[TypedEntry[T], error] {
	return func(yield func(TypedEntry[T], error) bool) {
		for e, err := range tx.Entries(t.table, r) {
			if err != nil {
				yield(TypedEntry[T]{}, err)
				return
			}
			typed, err := t.decode("decode", e)
			if !yield(typed, err) || err != nil {
				return
			}
		}
	}
}

// Add writes a new entry and returns its counter, or [ErrExists].
func (t Typed[T]) Add(tx Writer, key string, v T, options ...PutOption) (counter uint64, err error) {
	value, err := t.encode("add", key, v)
	if err != nil {
		return 0, err
	}
	return tx.Add(t.table, key, value, options...)
}

// Update replaces the value of an entry whose counter is still the one given
// and returns the new counter, or [ErrCounterMismatch].
func (t Typed[T]) Update(tx Writer, key string, v T, counter uint64, options ...PutOption) (uint64, error) {
	value, err := t.encode("update", key, v)
	if err != nil {
		return 0, err
	}
	return tx.Update(t.table, key, value, counter, options...)
}

// TryUpdate is Update where losing is no error: it reports whether the entry
// had that counter and was replaced.
func (t Typed[T]) TryUpdate(tx Writer, key string, v T, counter uint64, options ...PutOption) (bool, error) {
	value, err := t.encode("try update", key, v)
	if err != nil {
		return false, err
	}
	return tx.TryUpdate(t.table, key, value, counter, options...)
}

// Overwrite writes an entry, new or not, and returns its counter.
func (t Typed[T]) Overwrite(tx Writer, key string, v T, options ...PutOption) (counter uint64, err error) {
	value, err := t.encode("overwrite", key, v)
	if err != nil {
		return 0, err
	}
	return tx.Overwrite(t.table, key, value, options...)
}

// Delete removes the entry of key and reports whether there was one.
func (t Typed[T]) Delete(tx Writer, key string) (bool, error) { return tx.Delete(t.table, key) }

// Modify lets change alter the value of an entry and writes it back, whether
// it differs or not; it returns the new counter. Nobody comes in between,
// because a procedure runs alone. An error of change is returned unchanged,
// with nothing written.
//
// An absent entry is [ErrCounterMismatch], as it is for Update, and change is
// not called: starting from the zero value would make a new entry out of every
// mistyped key. Where that is wanted, use Get and then Overwrite.
func (t Typed[T]) Modify(tx Writer, key string, change func(*T) error, options ...PutOption) (counter uint64, err error) {
	e, found, err := tx.Get(t.table, key)
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, &KeyError{"modify", t.table, key, errAbsent}
	}
	typed, err := t.decode("modify", e)
	if err != nil {
		return 0, err
	}
	if err := change(&typed.Value); err != nil {
		return 0, err
	}
	value, err := t.encode("modify", key, typed.Value)
	if err != nil {
		return 0, err
	}
	return tx.Update(t.table, key, value, e.Counter, options...)
}

func (t Typed[T]) encode(op, key string, v T) ([]byte, error) {
	value, err := t.codec.Append(nil, v)
	if err != nil {
		return nil, &KeyError{op, t.table, key, err}
	}
	return value, nil
}

// decode returns e with its value decoded, or with its zero value and an error.
func (t Typed[T]) decode(op string, e Entry) (TypedEntry[T], error) {
	typed := TypedEntry[T]{Key: e.Key, Counter: e.Counter, ExpiresAt: e.ExpiresAt}
	v, err := t.codec.Decode(e.Value)
	if err != nil {
		return typed, &KeyError{op, t.table, e.Key, err}
	}
	typed.Value = v
	return typed, nil
}

// errAbsent is ErrCounterMismatch where no counter was given: its own text
// would puzzle.
var errAbsent error = absentError{}

type absentError struct{}

func (absentError) Error() string        { return "no such entry" }
func (absentError) Is(target error) bool { return target == ErrCounterMismatch }
