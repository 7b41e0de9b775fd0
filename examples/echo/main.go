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
	"io"

	"postern/examples/internal/program"
	"postern/server"
)

func main() { program.Main("echo", run) }

// run is the program: it serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := program.NewFlags("echo", stderr)
	if err := flags.Parse(args); err != nil {
		return err
	}
	listeners, err := flags.Listen()
	if err != nil {
		return err
	}
	program.Announce(stdout, listeners)
	srv := server.New(echo, server.Config{Limits: server.Limits{MaxBody: 8 << 20}})
	return srv.Run(ctx, listeners...)
}
