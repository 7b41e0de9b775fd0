// Stress is the workload that the Python package freetser is measured with, on a
// key-value store:
//
//	GET /stress-test/ID     "Created: ID", or "Found: ID, counter=N"
//	POST /stress-test/ID    "Created: ID" or "Updated: ID"; 409 if another was faster
//	DELETE /stress-test/ID  "Deleted: ID"; 404 if there is none
//	GET /items              "Items: N" and the first ten keys
//	anything else           what the request was
//
// The store is in memory, or with -db in a file. HTTP/1.0 is refused, as there. With
// -batch 1 every write has a transaction and a flush to disk of its own, as there too;
// bench/stress measures what that costs.
//
// It listens on -addr, on -unix, or on both, and says "listening on ADDR" for
// each once it can accept. SIGINT and SIGTERM let it finish what has begun; a
// second one ends it at once.
package main

import (
	"context"
	"errors"
	"io"

	"postern/examples/internal/program"
	"postern/kvstore"
	"postern/server"
)

func main() { program.Main("stress", run) }

// run is the program: it serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := program.NewFlags("stress", stderr)
	db := flags.String("db", "", "keep the items in `FILE` (in memory if not given)")
	batch := flags.Int("batch", 0, "let at most `N` writes share a transaction (0: as the store does)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	listeners, err := flags.Listen()
	if err != nil {
		return err
	}
	store, err := open(*db, *batch)
	if err != nil {
		program.Close(listeners)
		return err
	}
	program.Announce(stdout, listeners)
	srv := server.New(app{store}.handle, server.Config{
		Limits:       server.Limits{MaxBody: maxBody},
		RefuseHTTP10: true,
		RenderError:  renderError,
	})
	err = srv.Run(ctx, listeners...)
	return errors.Join(err, store.Close(context.WithoutCancel(ctx)))
}

func open(db string, batch int) (*kvstore.Store, error) {
	options := kvstore.Options{Tables: kvstore.Tables(table), MaxBatch: batch}
	if db == "" {
		return kvstore.OpenMemory(options)
	}
	return kvstore.Open(db, options)
}
