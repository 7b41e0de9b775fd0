// Package kvstore is a transactional key-value store in one file.
//
// # Model
//
// A [Store] holds tables; a table holds entries in the byte order of their
// keys. An [Entry] is a key, a value, a counter and perhaps an expiry. Keys and
// values are any bytes, empty ones included. Tables are declared when the store
// is opened ([Options]) and created as needed; a table that the file has and
// the program did not declare is left alone.
//
// A procedure is a function that [Store.Execute] runs in a transaction: all of
// it happens, or none of it. Procedures run one at a time on the storage
// goroutine, in the order they were queued, so a procedure may read, decide and
// write without any lock. [Store.View] runs a function over a snapshot instead,
// beside the procedures and beside other Views. What Execute has answered,
// every later View sees.
//
// A procedure may be run more than once before it is answered: a transaction
// that the engine gave up is repeated for the procedures that had no part in
// the failure. Write procedures so that only the last run counts: assign
// results, do not append to them, and do nothing outside the store.
//
// # Counters
//
// Every change of an entry adds one to its counter, and a counter is never
// used twice for the same key: an entry deleted and added again goes on above
// its old counter. Whoever read counter 7 and says [Tx.Update] with 7 knows
// that nothing happened in between. This carries a read, some slow work outside
// the store, and a write across several calls. Treat the number as opaque.
//
// # Expiry
//
// An entry with an expiry is visible while Now <= ExpiresAt and then to no
// operation at all. Times have a resolution of one millisecond and come from
// [Options].Clock, read once for each procedure. Writing without a [PutOption]
// gives a new entry no expiry and lets a present one keep its own. Expired
// entries are removed in the background ([Options].SweepEvery) and by
// [Store.Sweep].
//
// # Typed values
//
// A [Typed] is a table whose values are of one Go type, by a [Codec]; [JSON] is
// one. It works on the transactions it is handed, so typed and untyped
// operations mix in one procedure.
//
// # Change
//
// A table that is new in Options.Tables is created. What else a new version of
// a program has to change in its data stands in Options.Migrations: each of
// them runs once in the life of a file. An older program refuses a file that a
// newer one has migrated.
//
// # Care
//
// [Store.Backup] writes a copy that opens as a store of its own, beside running
// procedures. Copying the file by other means is safe only while no store has
// it open. [Store.Check] reads everything and says whether it is in order.
// [OpenExisting] opens any store with the tables it has, for tools.
//
// # Durability
//
// With [Durable], the default, a procedure is answered when its changes are on
// the disk: they survive a power cut, if the disk keeps its word. With
// [OSBuffered] they survive the end of the process, kill -9 too, but a power
// cut may take the last of them, never a part of a procedure.
//
// Network file systems do not lock reliably: keep the file on a local one.
//
// # Sharing
//
// A Store is safe for concurrent use. A [Tx] or [ReadTx] belongs to the
// function it was handed to: use it from that goroutine, until that function
// returns. One process at a time may have a file open; the lock is a file
// beside it, PATH.lock, freed by the kernel when its holder ends in whatever
// way. Do not delete it. [Follow] needs no lock: it only looks on.
//
// # Failure
//
// An error returned by a procedure rolls that procedure back and is returned
// unchanged; the store goes on. [ErrFull] is of this kind. A panic in a
// procedure, an error marked by [Fatal] and a failing disk stop the store: the
// transaction is rolled back, and every caller, waiting or later, gets
// [ErrStopped] with the cause. ErrStopped means that the procedure was not
// applied, unless [ErrIndeterminate] stands beside it.
//
// # Advice
//
//   - Keep procedures short: everything behind them waits. No network and no
//     waiting for other goroutines inside.
//   - Inside a procedure or View use its Tx, never the Store: such a call can
//     only deadlock. Where that can be noticed it is [ErrReentrant].
//   - Use [Tx.TryUpdate] where losing a race is an ordinary outcome,
//     [Tx.Update] where it should end the procedure, [Tx.Overwrite] only for
//     values that do not depend on what was there before.
//   - Prefer View to Execute for reading.
//
// The examples show what comes of it: short procedures, expected conflicts,
// split operations and last writer wins.
package kvstore
