package kvstore

import (
	"context"
	"errors"
	"fmt"

	"zombiezen.com/go/sqlite"
)

// beside runs fn on a read-only connection of its own, beside procedures and
// Views. The engine is interrupted when ctx ends and when the store does: its
// end waits for fn.
func (s *Store) beside(ctx context.Context, fn func(*conn) error) error {
	if err := s.admit(ctx); err != nil {
		return err
	}
	if !s.aside.TryRLock() { // only writer.end locks it, and never unlocks
		return s.refusal()
	}
	defer s.aside.RUnlock()

	ended, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() { // ended by the deferred call of end
		select {
		case <-s.closing:
		case <-s.stopped:
		case <-ended.Done():
			return
		}
		end(s.refusal())
	}()
	c, err := openConn(s.path, sqlite.OpenReadOnly, 0, readerCache)
	if err != nil {
		return notFatal(err)
	}
	defer c.close() // it has written nothing that could be lost
	c.db.SetInterrupt(ended.Done())
	err = fn(c)
	switch {
	case err == nil || ended.Err() == nil:
		return notFatal(err)
	case ctx.Err() != nil:
		return fmt.Errorf("kvstore: cancelled: %w", ctx.Err())
	}
	return context.Cause(ended)
}

// notFatal takes the mark off an error that is no reason to stop the store:
// the storage goroutine will meet what is wrong with its file by itself.
func notFatal(err error) error {
	var f *fatalError
	if errors.As(err, &f) {
		return f.err
	}
	return err
}
