// Hello is the program of the README, with flags for where it listens.
package main

import (
	"context"
	"flag"
	"log"
	"os"

	"postern/examples/internal/listen"
	"postern/server"
)

func main() {
	hello := func(r *server.Request) server.Response {
		return server.Text("Hello from " + r.Path() + "\n")
	}
	on := listen.On(flag.CommandLine)
	flag.Parse()
	listeners, err := on.Open(os.Stdout)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.New(hello, server.Config{}).Run(context.Background(), listeners...))
}
