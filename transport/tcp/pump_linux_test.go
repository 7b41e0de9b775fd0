package tcp_test

import (
	"context"
	"net"
	"testing"

	"postern/transport/tcp"
	"postern/transport/transporttest"
)

func TestPump(t *testing.T) {
	transporttest.RunPump(t, func(t testing.TB) (net.Listener, transporttest.Dial) {
		ln, err := tcp.Listen(tcp.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return ln, func(ctx context.Context) (net.Conn, error) {
			return tcp.Dial(ctx, tcp.Config{Addr: ln.Addr().String()})
		}
	})
}
