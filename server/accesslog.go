package server

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// record is one exchange. Its strings are copies.
type record struct {
	id       uint64
	at       time.Time
	duration time.Duration
	method   string
	target   string
	status   int
	bytes    int64 // of response content
	listener string
	remote   string
	failure  string // why the response was broken off, or ""
}

// accessLog hands records to a logger on a goroutine of its own, so that a slow
// log slows no connection. close ends the goroutine.
type accessLog struct {
	to      *slog.Logger
	queue   chan record
	dropped atomic.Uint64
	once    sync.Once
	ended   chan struct{}
}

const accessQueue = 1024

func newAccessLog(to *slog.Logger) *accessLog {
	a := &accessLog{to: to, queue: make(chan record, accessQueue), ended: make(chan struct{})}
	go a.run()
	return a
}

func (a *accessLog) run() {
	defer close(a.ended)
	var attrs []slog.Attr
	for r := range a.queue {
		attrs := append(attrs[:0],
			slog.Uint64("id", r.id),
			slog.String("method", r.method),
			slog.String("target", r.target),
			slog.Int("status", r.status),
			slog.Int64("bytes", r.bytes),
			slog.Duration("duration", r.duration),
			slog.String("listener", r.listener),
			slog.String("remote", r.remote))
		if r.failure != "" {
			attrs = append(attrs, slog.String("error", r.failure))
		}
		a.to.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
	}
}

func (a *accessLog) add(r record) {
	select {
	case a.queue <- r:
	default:
		a.dropped.Add(1)
	}
}

// close writes what is queued and returns. No connection may be left.
func (a *accessLog) close() {
	a.once.Do(func() { close(a.queue) })
	<-a.ended
}
