package kvstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The errors of this package, to be tested with errors.Is. Those that concern
// one key come wrapped in a [KeyError].
var (
	// ErrExists: Add found the key present.
	ErrExists = errors.New("kvstore: entry already exists")
	// ErrCounterMismatch: Update found the entry changed, or absent.
	ErrCounterMismatch = errors.New("kvstore: counter does not match")
	// ErrNoTable: the table is not among Options.Tables.
	ErrNoTable = errors.New("kvstore: table not declared")
	// ErrTooLarge: the value is longer than Options.MaxValue, or key and value
	// are more than the engine can hold.
	ErrTooLarge = errors.New("kvstore: key or value too large")
	// ErrTxDone: a Tx or ReadTx was used after its function had returned.
	ErrTxDone = errors.New("kvstore: transaction has ended")
	// ErrReentrant: a procedure called its own Store, which would have waited
	// for that procedure to end.
	ErrReentrant = errors.New("kvstore: store called from inside its own procedure")
	// ErrViewTooOld: a View has run for longer than Options.MaxViewAge and its
	// snapshot keeps the log from starting over.
	ErrViewTooOld = errors.New("kvstore: view has held its snapshot too long")
	// ErrFull: the disk is full or refused a write. Nothing was applied, and the
	// store goes on.
	ErrFull = errors.New("kvstore: no space for the transaction")
	// ErrIndeterminate: the disk failed during COMMIT. Whether the procedure
	// was applied shows when the file is opened again.
	ErrIndeterminate = errors.New("kvstore: outcome of the transaction unknown")
	// ErrCorrupt: the file is damaged or not a database.
	ErrCorrupt = errors.New("kvstore: file is damaged or not a database")
	// ErrStopped: the store met an error it cannot go on after. The error
	// wraps that cause too.
	ErrStopped = errors.New("kvstore: store stopped")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("kvstore: store is closed")
	// ErrLocked: another process, or another Store of this one, has the file
	// open. The error is a [*LockedError].
	ErrLocked = errors.New("kvstore: file is in use")
)

// maxQuotedKey is how much of a key an error message shows, in bytes.
const maxQuotedKey = 40

// KeyError says which operation on which key failed.
type KeyError struct {
	Op    string // "get", "add", "update", "try update", "overwrite", "delete", "clear" or "list"; of a Typed "modify" and "decode" too
	Table string
	Key   string // empty for operations on a whole table
	Err   error  // ErrExists, ErrCounterMismatch, ErrNoTable or ErrTooLarge; of a Typed the codec's error too
}

// Error names operation, table and the beginning of the key.
func (e *KeyError) Error() string {
	key := ""
	if e.Op != "clear" && e.Op != "list" {
		key = clip(e.Key) + " in "
	}
	return fmt.Sprintf("kvstore: %s %stable %s: %s", e.Op, key, clip(e.Table), bare(e.Err))
}

// Unwrap returns e.Err.
func (e *KeyError) Unwrap() error { return e.Err }

// clip quotes s, or its beginning when it is long.
func clip(s string) string {
	if len(s) > maxQuotedKey {
		return fmt.Sprintf("%q...", s[:maxQuotedKey])
	}
	return fmt.Sprintf("%q", s)
}

// bare returns the text of err without our prefix, for use inside a message
// that has it already.
func bare(err error) string {
	return strings.TrimPrefix(err.Error(), "kvstore: ")
}

// PanicError is the error made of a panic in a procedure.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // stack of the storage goroutine at that moment, as text
}

// Error gives the panic's value, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("kvstore: procedure panicked: %v", e.Value) }

// Unwrap returns the panic's value when that is an error, else nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// fatalError marks an error that stops the store.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

// Fatal marks err so that a procedure returning it stops the store: for a
// program that has found its own data inconsistent and must not go on writing.
// Fatal(nil) is nil.
func Fatal(err error) error {
	if err == nil {
		return nil
	}
	return &fatalError{err}
}

// isFatal reports whether err is marked for this store. What stopped another store,
// and comes with that one's ErrStopped, is no reason to stop here.
func isFatal(err error) bool {
	switch e := err.(type) {
	case *fatalError:
		return true
	case *stopError:
		return false
	case interface{ Unwrap() error }:
		return isFatal(e.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), isFatal)
	}
	return false
}

// stopError is what callers of a stopped store get.
type stopError struct{ cause error }

func (e *stopError) Error() string   { return "kvstore: store stopped: " + bare(e.cause) }
func (e *stopError) Unwrap() []error { return []error{ErrStopped, e.cause} }

// barePrefix carries err into a message of ours that has the prefix already.
type barePrefix struct{ err error }

func (e *barePrefix) Error() string { return bare(e.err) }
func (e *barePrefix) Unwrap() error { return e.err }
