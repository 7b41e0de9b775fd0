//go:build unix && !aix && !solaris

package inherit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"postern/transport/internal/socket"
)

// Handover starts a new process and passes it the sockets, waits until it says that
// it is ready, by Inheritance.Ready, and returns its process id. From then on the
// caller should accept nothing any more, and shut down: what waits in the queues of
// the sockets is the new process's. Their listeners have to be those of transport/tcp
// or transport/unix, not wrapped; the file of a Unix socket stays when one is closed.
//
// cmd is the process to start; nil is this program again, found anew by the name it
// was called by, with the same arguments, environment and standard files. It may be
// anything that calls Receive, and has to be started directly: no shell in between.
// Its ExtraFiles have to be empty.
//
// If the process ends, or closes the pipe, before it is ready, or ctx ends, it is
// killed, and nothing has changed for the caller, who goes on. Two calls must not run
// at the same time.
func Handover(ctx context.Context, cmd *exec.Cmd, sockets []Socket) (pid int, err error) {
	if cmd == nil {
		cmd = exec.Command(os.Args[0], os.Args[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	}
	said, err := start(cmd, sockets)
	if err != nil {
		return 0, fmt.Errorf("inherit: hand-over to %s: %w", cmd.Path, err)
	}
	defer said.Close()
	unhook := context.AfterFunc(ctx, func() { _ = said.SetReadDeadline(time.Unix(1, 0)) }) // failing, the end of the process ends it
	defer unhook()
	state, readErr := io.ReadAll(io.LimitReader(said, 64))
	if string(state) == readyState && readErr == nil {
		for _, s := range sockets {
			if k, ok := s.Listener.(interface{ KeepFile() }); ok {
				k.KeepFile()
			}
		}
		return cmd.Process.Pid, nil
	}
	_ = cmd.Process.Kill() // it may have ended by itself
	err = cmd.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	} else if err == nil {
		err = errors.New(cmd.ProcessState.String())
	}
	return 0, fmt.Errorf("inherit: hand-over to %s: process %d was not ready: %w", cmd.Path, cmd.Process.Pid, err)
}

// start starts cmd with the sockets, and returns what to read its readiness from.
func start(cmd *exec.Cmd, sockets []Socket) (said *os.File, err error) {
	if len(cmd.ExtraFiles) > 0 {
		return nil, fmt.Errorf("there are %d ExtraFiles already", len(cmd.ExtraFiles))
	}
	var passed []*os.File
	defer func() {
		for _, f := range passed {
			_ = f.Close() // the process has its own
		}
	}()
	names := make([]string, len(sockets))
	for i, s := range sockets {
		if strings.ContainsFunc(s.Name, func(r rune) bool { return r == ':' || r < ' ' || r > '~' }) {
			return nil, fmt.Errorf("the name %q of a socket cannot be passed", s.Name)
		}
		names[i] = s.Name
		c, ok := s.Listener.(syscall.Conn)
		if !ok {
			return nil, fmt.Errorf("socket %d, %q: a %T has no descriptor to pass", i, s.Name, s.Listener)
		}
		f, err := socket.Dup(c, s.Name)
		if err != nil {
			return nil, fmt.Errorf("socket %d, %q: %w", i, s.Name, err)
		}
		passed = append(passed, f)
	}
	said, ready, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	passed = append(passed, ready)
	cmd.Env = append(slices.DeleteFunc(cmd.Environ(), ours),
		"LISTEN_FDS="+strconv.Itoa(len(sockets)),
		"LISTEN_FDNAMES="+strings.Join(names, ":"),
		fmt.Sprintf("%s=%d:%d", handover, os.Getpid(), firstSock+len(sockets)))
	cmd.ExtraFiles = passed
	if err := cmd.Start(); err != nil {
		said.Close()
		return nil, err
	}
	return said, nil
}

// ours reports whether a variable, as NAME=VALUE, is one that Receive takes.
func ours(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return slices.Contains(variables[:], name)
}
