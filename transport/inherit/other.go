//go:build !unix || aix || solaris

package inherit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
)

func takePipe(int) (*os.File, error) { return nil, errors.ErrUnsupported }

func listener(int, string) (net.Listener, error) { return nil, errors.ErrUnsupported }

// Handover is there for the systems that can do it.
func Handover(context.Context, *exec.Cmd, []Socket) (pid int, err error) {
	return 0, fmt.Errorf("inherit: hand-over: %w", errors.ErrUnsupported)
}
