//go:build !linux

package tcp_test

import (
	"errors"
	"testing"
	"time"

	"postern/transport/tcp"
)

// What only Linux has is an error when it is asked for.
func TestUnsupported(t *testing.T) {
	for _, c := range []tcp.Config{{ReusePort: true}, {UserTimeout: time.Second}} {
		if _, err := tcp.Listen(c); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Listen(%+v): %v, want errors.ErrUnsupported", c, err)
		}
	}
	if _, err := tcp.ListenN(tcp.Config{}, 2); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("ListenN: %v, want errors.ErrUnsupported", err)
	}
}
