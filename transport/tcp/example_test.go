package tcp_test

import (
	"context"
	"fmt"
	"io"
	"time"

	"postern/transport/tcp"
)

func Example() {
	ln, err := tcp.Listen(tcp.Config{Addr: "127.0.0.1:0", UserTimeout: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		io.WriteString(conn, "hello")
		conn.Close()
	}()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := tcp.Dial(ctx, tcp.Config{Addr: ln.Addr().String()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	fmt.Printf("%s %v\n", got, err)
	// Output: hello <nil>
}
