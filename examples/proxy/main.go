// Proxy is a reverse proxy made of two machines of h1: a ServerConn towards the
// client and a ClientConn towards the upstream. Content flows both ways at the same
// time through buffers of a fixed size.
//
//	go run ./examples/proxy -addr 127.0.0.1:8000 -to 127.0.0.1:8080
//
// Read pair.go first: who owns what. exchange.go is one request and its response,
// relay.go moves their content, fields.go says what changes in their heads, and
// tunnel.go is what follows 101.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"time"

	"postern/examples/internal/program"
	"postern/h1"
)

func main() { program.Main("proxy", run) }

// run is the program: it serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var p proxy
	flags := program.NewFlags("proxy", stderr)
	flags.StringVar(&p.to, "to", "", "forward to `HOST:PORT`, or to unix:PATH")
	flags.StringVar(&p.name, "name", "postern", "this proxy's `NAME` in Via")
	flags.DurationVar(&p.timeout, "timeout", 30*time.Second, "how long a peer may take to connect, to send or take the next bytes, or to answer")
	flags.DurationVar(&p.idle, "idle", 60*time.Second, "how long a connection may wait for a request, and a tunnel for bytes")
	conns := flags.Int("conns", 1000, "client connections at a time; more have to wait")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if p.to == "" || p.timeout <= 0 || p.idle <= 0 || *conns <= 0 {
		fmt.Fprintln(stderr, "proxy: -to is needed, and -timeout, -idle and -conns are more than zero")
		return program.ErrUsage
	}
	p.slots = make(chan struct{}, *conns)
	// Different from the strict default only where a proxy has to be.
	p.towardsClient = h1.Config{CloseHTTP10: true}      // RFC 9112 9.3
	p.towardsUpstream = h1.Config{StripNameSpace: true} // RFC 9112 5.1
	p.log = log.New(stderr, "proxy: ", log.LstdFlags)
	listeners, err := flags.Listen()
	if err != nil {
		return err
	}
	program.Announce(stdout, listeners)
	return p.serve(ctx, listeners)
}

// proxy is what all connections share.
type proxy struct {
	to            string // the upstream, as program.Dial takes it
	name          string
	timeout, idle time.Duration
	slots         chan struct{} // one taken for each client connection
	log           *log.Logger

	towardsClient, towardsUpstream h1.Config
}

// grace is how long exchanges may go on after the program was told to stop.
const grace = 10 * time.Second

// serve accepts connections until ctx ends, and returns when the last has ended.
func (p *proxy) serve(ctx context.Context, listeners []net.Listener) error {
	soft, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	hard, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	var running sync.WaitGroup
	for _, ln := range listeners {
		running.Go(func() { // ends when ln closes
			for {
				conn, err := ln.Accept()
				if err != nil {
					stop(err)
					return
				}
				p.slots <- struct{}{}
				running.Go(func() { // ends with its connections, which hard closes
					newPair(p, conn).serve(soft, hard)
					<-p.slots
				})
			}
		})
	}
	<-soft.Done()
	program.Close(listeners)
	defer time.AfterFunc(grace, kill).Stop()
	running.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(soft)
}
