// Echo answers a few fixed requests, for measuring and for trying clients:
//
//	GET, HEAD /      Hello, World!
//	GET, HEAD /500   500 bytes
//	GET, HEAD /12k   12288 bytes
//	POST /echo       the request's content
//
// It listens on -addr, on -unix, or on both, and says "listening on ADDR" for
// each once it can accept. SIGINT and SIGTERM let it finish what has begun; a
// second one ends it at once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"postern/examples/internal/listen"
	"postern/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from here on signals do what they always do
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

// errUsage is the error of flags that make no sense; package flag has told why.
var errUsage = errors.New("usage")

// run is the program: it serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("echo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	on := listen.On(flags)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "echo: argument %q: there are only flags\n", flags.Arg(0))
		return errUsage
	}
	listeners, err := on.Open(stdout)
	if err != nil {
		return err
	}
	srv := server.New(echo, server.Config{Limits: server.Limits{MaxBody: 8 << 20}})
	return srv.Run(ctx, listeners...)
}
