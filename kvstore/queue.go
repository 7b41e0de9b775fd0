package kvstore

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// item is one call waiting for the storage goroutine.
type item struct {
	ctx  context.Context
	kind itemKind
	run  func(*Tx) error

	state atomic.Uint32 // itemQueued, itemRunning or itemCancelled
	done  chan struct{} // closed by answer

	// Results, readable once done is closed.
	err      error
	panicked any // what a view panicked with, to go on in its caller
	swept    int // entries removed, for a sweep
}

type itemKind uint8

const (
	procedure itemKind = iota
	operation          // a procedure of one operation of ours: at most one statement that writes
	view
	sweep
)

// An item begins queued. Whoever swaps that for another state decides: the
// storage goroutine takes it and will answer, or its caller gives up and it
// never runs.
const (
	itemQueued uint32 = iota
	itemRunning
	itemCancelled
)

func newItem(ctx context.Context, kind itemKind, run func(*Tx) error) *item {
	return &item{ctx: ctx, kind: kind, run: run, done: make(chan struct{})}
}

func (it *item) take() bool   { return it.state.CompareAndSwap(itemQueued, itemRunning) }
func (it *item) giveUp() bool { return it.state.CompareAndSwap(itemQueued, itemCancelled) }

func (it *item) answer(err error) {
	it.err = err
	close(it.done)
}

// reentryDelay is how long a call waits behind a running procedure before it
// looks whether that procedure is its own caller. Looking costs a microsecond,
// which most calls are spared.
const reentryDelay = 10 * time.Millisecond

// submit queues it and waits for its answer. It returns without one only when
// it.run never ran and never will.
func (s *Store) submit(ctx context.Context, it *item) error {
	if err := s.admit(ctx); err != nil {
		return err
	}
	select {
	case s.queue <- it:
	default:
		if s.onStorageGoroutine() {
			return ErrReentrant
		}
		select {
		case s.queue <- it:
		case <-ctx.Done():
			return notRun(ctx.Err())
		case <-s.closing:
			return s.refusal()
		case <-s.stopped:
			return s.refusal()
		}
	}
	return s.await(ctx, it)
}

func (s *Store) await(ctx context.Context, it *item) error {
	var look <-chan time.Time
	if s.busy.Load() { // else no procedure runs that could be our caller
		timer := time.NewTimer(reentryDelay)
		defer timer.Stop()
		look = timer.C
	}
	for {
		var reason error
		select {
		case <-it.done:
			return it.err
		case <-ctx.Done():
			reason = notRun(ctx.Err())
		case <-s.stopped:
			reason = s.refusal()
		case <-look:
			if !s.onStorageGoroutine() {
				continue
			}
			reason = ErrReentrant
		}
		if it.giveUp() {
			return reason
		}
		// It runs. Returning now would leave fn racing with its caller.
		<-it.done
		return it.err
	}
}

// admit reports why a call need not even try.
func (s *Store) admit(ctx context.Context) error {
	select {
	case <-s.closing:
		return s.refusal()
	case <-s.stopped:
		return s.refusal()
	default:
	}
	if err := ctx.Err(); err != nil {
		return notRun(err)
	}
	return nil
}

func notRun(err error) error {
	return fmt.Errorf("kvstore: cancelled before it ran: %w", err)
}

// refusal is the error of a call that a closing or stopped store turns away.
func (s *Store) refusal() error {
	if err := s.Err(); err != nil {
		return err
	}
	return ErrClosed
}

func (s *Store) onStorageGoroutine() bool { return goroutineID() == s.storage }

// goroutineID returns the words "goroutine N" that begin a stack trace. There
// is no other way to ask.
func goroutineID() string {
	var buf [64]byte
	id, _, _ := bytes.Cut(buf[:runtime.Stack(buf[:], false)], []byte(" ["))
	return string(id)
}
