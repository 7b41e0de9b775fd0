package unix_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"postern/transport/unix"
)

func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "socket")

	ln, err := unix.Listen(unix.Config{Path: path})
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		io.WriteString(conn, "hello")
		conn.Close()
	}()

	conn, err := unix.Dial(context.Background(), path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	fmt.Printf("%s %v\n", got, err)

	ln.Close()
	_, err = os.Stat(path)
	fmt.Println("file gone:", os.IsNotExist(err))
	// Output:
	// hello <nil>
	// file gone: true
}
