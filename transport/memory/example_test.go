package memory_test

import (
	"context"
	"fmt"
	"io"

	"postern/transport/memory"
)

func Example() {
	ln := memory.Listen(memory.Config{})
	defer ln.Close()

	client, err := ln.Dial(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := ln.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprintf(server, "hello, %s", server.RemoteAddr())
	server.Close()

	got, err := io.ReadAll(client)
	fmt.Printf("%s %v\n", got, err)
	client.Close()
	// Output: hello, memory:1 <nil>
}
