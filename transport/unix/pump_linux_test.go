package unix_test

import (
	"context"
	"net"
	"testing"

	"postern/transport/transporttest"
	"postern/transport/unix"
)

func TestPump(t *testing.T) {
	transporttest.RunPump(t, func(t testing.TB) (net.Listener, transporttest.Dial) {
		path := newPath(t)
		ln, err := unix.Listen(unix.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return ln, func(ctx context.Context) (net.Conn, error) { return unix.Dial(ctx, path) }
	})
}
