package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// Run serves the listeners until ctx ends or one of them fails, and then shuts
// down, for as long as Config.ShutdownGrace allows. It returns nil when ctx ended
// and every exchange that had begun came to its end. Programs end ctx by a signal.
func (s *Server) Run(ctx context.Context, listeners ...net.Listener) error {
	running, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var serving sync.WaitGroup
	for _, ln := range listeners {
		serving.Go(func() { fail(s.Serve(ln)) }) // Shutdown ends it
	}
	<-running.Done()
	var err error
	if ctx.Err() == nil {
		err = context.Cause(running)
	}
	grace := context.WithoutCancel(ctx)
	if s.cfg.ShutdownGrace > 0 {
		var cancel context.CancelFunc
		grace, cancel = context.WithTimeout(grace, s.cfg.ShutdownGrace)
		defer cancel()
	}
	if s.Shutdown(grace) != nil {
		err = errors.Join(err, fmt.Errorf("server: exchanges were cut off after %v", s.cfg.ShutdownGrace))
	}
	serving.Wait()
	return err
}
