// Hello is the program of the README, with flags for where it listens.
package main

import (
	"context"
	"io"

	"postern/examples/internal/program"
	"postern/server"
)

func main() { program.Main("hello", run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	hello := func(r *server.Request) server.Response {
		return server.Text("Hello from " + r.Path() + "\n")
	}
	flags := program.NewFlags("hello", stderr)
	if err := flags.Parse(args); err != nil {
		return err
	}
	listeners, err := flags.Listen()
	if err != nil {
		return err
	}
	program.Announce(stdout, listeners)
	return server.New(hello, server.Config{}).Run(ctx, listeners...)
}
