package kvstore

import (
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Durability says what a procedure's answer promises.
type Durability uint8

const (
	// Durable: answered procedures survive a power cut. One flush to disk for
	// each transaction that writes.
	Durable Durability = iota
	// OSBuffered: answered procedures survive the end of the process, not a
	// power cut. No flush but at checkpoints.
	OSBuffered
)

// PanicPolicy says what a panic in a procedure does.
type PanicPolicy uint8

const (
	// StopStore rolls the procedure back and stops the store: a program that
	// panics half way through its own logic should not go on writing.
	StopStore PanicPolicy = iota
	// FailCaller rolls the procedure back and gives its caller the
	// [PanicError]; the store goes on.
	FailCaller
)

// Options configure a Store. In every field zero means the default named
// there; only Tables has none.
type Options struct {
	// Tables the program uses. Missing ones are created.
	Tables []Table

	// Migrations change the program's data when the program changes: each runs
	// once in the life of the file, in order, when the store is opened and before
	// anybody else, in a transaction of its own. A new file has them all too. Add
	// to the end and keep those that are there: only their number is recorded. An
	// error in one undoes that one, and Open fails with it; those before it stay.
	// A file that has had more of them than there are here is refused.
	Migrations []func(*Tx) error

	// Durability of answered procedures. Default Durable. Without effect in
	// memory.
	Durability Durability

	// Readers is how many Views may run at once; more wait their turn. Default
	// max(2, GOMAXPROCS-1). Negative: Views go through the queue like
	// procedures, as they always do in memory.
	Readers int

	// MapFile lets Views read the file as mapped memory, its first 2 GiB, and not by
	// system calls: faster by a quarter while the file fits a reader's cache of 16 MB,
	// and twice as fast when it is much longer. The price: a disk that cannot read, or
	// a program that cuts the file short, then ends the process (SIGBUS), where else
	// the View would fail. Default: off. Without effect in memory.
	MapFile bool

	// QueueLen is how many procedures may wait; callers beyond that block
	// before they are queued. Default 1024. Negative: none wait in the queue,
	// all block before it.
	QueueLen int

	// MaxBatch is how many procedures may share one transaction, and so one
	// flush to disk. Default 512.
	MaxBatch int

	// MaxBatchTime is how long procedures may run before those that have run are
	// answered; no other joins them then. Default 5 ms.
	MaxBatchTime time.Duration

	// OnSlow is called, on a goroutine of its own, while a procedure runs longer
	// than SlowAfter, once for each: everything behind it waits. It may log and
	// count; it must not wait for the store. Default: not called.
	OnSlow func(SlowInfo)

	// SlowAfter is when a procedure is slow. Default 1 s.
	SlowAfter time.Duration

	// Clock is the source of time for expiry. Default time.Now. It is called
	// from several goroutines.
	Clock func() time.Time

	// SweepEvery is the interval, in real time, at which expired entries are
	// removed. Default 1 s. Negative: never, call Sweep.
	SweepEvery time.Duration

	// CheckpointPages is the length of the write-ahead log, in pages of
	// usually 4096 bytes, at which it is carried over into the file. The log
	// grows to about that size. Default 8000. Negative: only at Close.
	CheckpointPages int

	// MaxViewAge is how long a View may run when its snapshot keeps the log from
	// starting over: the log would grow without end. An older one fails with
	// ErrViewTooOld at its next operation, once the log is twice as long as
	// CheckpointPages. Default 1 minute. Negative: no limit.
	MaxViewAge time.Duration

	// OnPanic says what a panic in a procedure does. Default StopStore.
	OnPanic PanicPolicy

	// MaxValue is the longest value accepted, in bytes. Default 16 MiB.
	// Negative: no limit but the engine's, one billion bytes with its key.
	MaxValue int

	// Logger receives what no caller is told: why the store stopped, panics,
	// failed checkpoints and sweeps, migrations. Default: nothing is logged.
	Logger *slog.Logger

	existing bool // set by OpenExisting
}

const (
	defaultQueueLen        = 1024
	defaultMaxBatch        = 512
	defaultMaxBatchTime    = 5 * time.Millisecond
	defaultSlowAfter       = time.Second
	defaultMaxViewAge      = time.Minute
	defaultSweepEvery      = time.Second
	defaultCheckpointPages = 8000
	defaultMaxValue        = 16 << 20 // bytes

	// maxRecord keeps key and value together below the engine's limit of 1e9
	// bytes a row, with room for the row's header. // bytes
	maxRecord = 1_000_000_000 - 1024
)

// withDefaults returns o with the defaults filled in.
func (o Options) withDefaults() Options {
	if o.Readers == 0 {
		o.Readers = max(2, runtime.GOMAXPROCS(0)-1)
	}
	switch {
	case o.QueueLen == 0:
		o.QueueLen = defaultQueueLen
	case o.QueueLen < 0:
		o.QueueLen = 0
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = defaultMaxBatch
	}
	if o.MaxBatchTime <= 0 {
		o.MaxBatchTime = defaultMaxBatchTime
	}
	if o.SlowAfter <= 0 {
		o.SlowAfter = defaultSlowAfter
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.SweepEvery == 0 {
		o.SweepEvery = defaultSweepEvery
	}
	if o.MaxViewAge == 0 {
		o.MaxViewAge = defaultMaxViewAge
	}
	if o.CheckpointPages == 0 {
		o.CheckpointPages = defaultCheckpointPages
	}
	switch {
	case o.MaxValue == 0:
		o.MaxValue = defaultMaxValue
	case o.MaxValue < 0 || o.MaxValue > maxRecord:
		o.MaxValue = maxRecord
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// check reports the first option that makes no sense.
func (o Options) check() error {
	switch {
	case len(o.Tables) == 0 && !o.existing:
		return fmt.Errorf("kvstore: Options.Tables is empty: declare at least one table")
	case o.Durability > OSBuffered:
		return fmt.Errorf("kvstore: Options.Durability %d is unknown", o.Durability)
	case o.OnPanic > FailCaller:
		return fmt.Errorf("kvstore: Options.OnPanic %d is unknown", o.OnPanic)
	}
	if i := slices.IndexFunc(o.Migrations, func(m func(*Tx) error) bool { return m == nil }); i >= 0 {
		return fmt.Errorf("kvstore: Options.Migrations[%d] is nil", i)
	}
	seen := make(map[string]string, len(o.Tables))
	for _, t := range o.Tables {
		if err := checkTableName(t.Name); err != nil {
			return err
		}
		lower := strings.ToLower(t.Name)
		if other, dup := seen[lower]; dup {
			return fmt.Errorf("kvstore: tables %q and %q have the same name (case does not count)", other, t.Name)
		}
		seen[lower] = t.Name
	}
	return nil
}
