package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"postern/kvstore"
	"postern/server"
	"postern/transport/inherit"
)

// How long a new process may take until it is ready, and how long it then waits for
// the store's file, which the old one has until its last exchange has ended.
const (
	readyTime = 30 * time.Second
	storeTime = 60 * time.Second
)

// farewell is how long this process goes on once the next one is ready, telling each
// client to close its connection: one that asks again within that time never finds its
// connection closed just as it asks.
const farewell = time.Second

// A succession is what hands this process's sockets over to the next.
type succession struct {
	sockets []inherit.Socket
	file    bool // the store is in a file, where the next process finds it
	signals <-chan os.Signal
	log     *slog.Logger
	leaving atomic.Bool // the next process is ready
}

// wrap makes responses say that the connection closes, once this process leaves.
func (s *succession) wrap(h server.Handler) server.Handler {
	return func(r *server.Request) server.Response {
		resp := h(r)
		if s.leaving.Load() {
			resp.Close = true
		}
		return resp
	}
}

// handoverSignals receives SIGUSR2, where there is one, until stop. Without it such a
// signal ends the process, so it comes first and goes last.
func handoverSignals() (signals chan os.Signal, stop func()) {
	signals = make(chan os.Signal, 1)
	if handoverSignal != nil {
		signal.Notify(signals, handoverSignal)
	}
	return signals, func() { signal.Stop(signals) }
}

// serve hands over at the first signal that leads to a process that is ready, tells
// clients for a while, and calls leave. It returns before that if ctx ends.
func (s *succession) serve(ctx context.Context, leave func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.signals:
		}
		pid, err := s.handOver(ctx)
		if err != nil {
			s.log.Error("no hand-over, this process goes on", "error", err)
			continue
		}
		s.leaving.Store(true)
		s.log.Info("handing over", "process", pid)
		s.notify(fmt.Sprint("MAINPID=", pid))
		select {
		case <-ctx.Done():
		case <-time.After(farewell):
		}
		leave()
		return
	}
}

func (s *succession) handOver(ctx context.Context) (pid int, err error) {
	if !s.file {
		return 0, errors.New("the store is in memory, where no other process finds it")
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	return inherit.Handover(ctx, nil, s.sockets)
}

// notify tells the service manager, if there is one.
func (s *succession) notify(state string) {
	if _, err := inherit.Notify(state); err != nil {
		s.log.Warn("the service manager was not told", "state", state, "error", err)
	}
}

// openStore opens the store. If the process that hands over to us has it, we are as
// ready as can be: it is told so, and has its time to leave.
func openStore(ctx context.Context, db string, options kvstore.Options, in *inherit.Inheritance) (*kvstore.Store, error) {
	if db == "" {
		return kvstore.OpenMemory(options)
	}
	store, err := kvstore.Open(db, options)
	var locked *kvstore.LockedError
	if !errors.As(err, &locked) || in.From == 0 || locked.PID != in.From {
		return store, err
	}
	if err := in.Ready(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	for retry := time.NewTicker(5 * time.Millisecond); errors.Is(err, kvstore.ErrLocked); {
		select {
		case <-ctx.Done():
			return nil, err
		case <-retry.C:
			store, err = kvstore.Open(db, options)
		}
	}
	return store, err
}
