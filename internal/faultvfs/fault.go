package faultvfs

import (
	"strings"

	lib "modernc.org/sqlite/lib"
)

// Op is a kind of operation that can fail.
type Op uint8

// The operations of the engine's VFS interface that a [Fault] can name.
const (
	Open     Op = iota // of a main file, log or journal
	Delete             // of a log or journal
	Read               // of a range of a file
	Write              // the same; one that fails has written its first half
	Truncate           // to any length
	Sync               // a flush; one that fails leaves in doubt what it should have flushed
	ShmMap             // of a piece of the log's index
	Lock               // taking a lock on the main file
	ShmLock            // taking a lock in the log's index
	nOps
)

// String returns the name of the operation in lower case.
func (op Op) String() string {
	names := [nOps]string{"open", "delete", "read", "write", "truncate", "sync", "shm map", "lock", "shm lock"}
	return names[op]
}

// Fault makes operations fail.
type Fault struct {
	Op      Op
	Suffix  string // only on files whose path ends so; the log's ends in -wal. The index counts as the main file
	N       int    // which of these operations, counted from 1 when the fault is injected; 0 is 1
	Forever bool   // and all that follow
	Code    int32  // the engine's result code, such as SQLITE_FULL
}

// Inject adds a fault to those there are. The first that fits an operation
// decides.
func (d *Disk) Inject(f Fault) {
	f.N = max(f.N, 1)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, f)
}

// Clear removes all faults and sets Failed back to 0.
func (d *Disk) Clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults, d.failed = nil, 0
}

// Failed returns how many operations have failed by a fault: a sweep over
// Fault.N has gone far enough when it is 0.
func (d *Disk) Failed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// Count returns how many operations of a kind there were, failed ones too.
func (d *Disk) Count(op Op) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[op]
}

// step counts an operation and returns the code that it must fail with, or
// SQLITE_OK.
func (d *Disk) step(op Op, path string) int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[op]++
	for i := range d.faults {
		f := &d.faults[i]
		if f.Op != op || !strings.HasSuffix(path, f.Suffix) {
			continue
		}
		f.N--
		if f.N == 0 || f.N < 0 && f.Forever {
			d.failed++
			return f.Code
		}
	}
	return lib.SQLITE_OK
}
