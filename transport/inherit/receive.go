package inherit

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// A Socket is a listening socket with the name under which it is passed on. The name
// is ASCII that prints, without a colon, and may be empty.
type Socket struct {
	Name     string
	Listener net.Listener
}

// An Inheritance is what the process was started with.
type Inheritance struct {
	// Sockets in the order of their descriptors; none, if none were passed. The
	// listeners are those of transport/tcp and transport/unix with their default
	// options, and the caller's to close.
	Sockets []Socket

	// From is the process that is handing over to this one, and goes on until Ready;
	// 0 if there is none.
	From int

	ready *os.File // of the pipe to it
}

// variables are those of the environment that speak of sockets.
var variables = [...]string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID", handover}

const (
	handover   = "POSTERN_HANDOVER"
	firstSock  = 3 // SD_LISTEN_FDS_START
	readyState = "READY=1\n"
)

// Receive takes the sockets that were passed to this process, and their variables out
// of the environment. That can be done once, and should be before anything else is
// started: until then children would inherit the sockets. Anything but a listening
// stream socket is an error, as is a hand-over to another process than this one; what
// LISTEN_PID says is another's is none, and not looked at.
func Receive() (*Inheritance, error) {
	env := make(map[string]string, len(variables))
	for _, name := range variables {
		env[name] = os.Getenv(name)
		os.Unsetenv(name)
	}
	in, err := receive(env)
	if err != nil {
		return nil, fmt.Errorf("inherit: %w", err)
	}
	return in, nil
}

func receive(env map[string]string) (in *Inheritance, err error) {
	in = new(Inheritance)
	pipe := -1
	switch from := env[handover]; {
	case env["LISTEN_FDS"] == "":
		return in, nil
	case from != "":
		if in.From, pipe, err = parseHandover(from); err != nil {
			return nil, err
		}
	case env["LISTEN_PID"] != strconv.Itoa(os.Getpid()):
		return in, nil
	}
	n, err := strconv.Atoi(env["LISTEN_FDS"])
	if err != nil || n < 0 {
		return nil, fmt.Errorf("LISTEN_FDS=%.20q is no number", env["LISTEN_FDS"])
	}
	names := strings.Split(env["LISTEN_FDNAMES"], ":")
	if env["LISTEN_FDNAMES"] != "" && len(names) != n {
		return nil, fmt.Errorf("LISTEN_FDNAMES has %d names for %d sockets", len(names), n)
	}
	if pipe >= 0 {
		if in.ready, err = takePipe(pipe); err != nil {
			return nil, err
		}
	}
	for i := range n {
		s := Socket{}
		if i < len(names) {
			s.Name = names[i]
		}
		if s.Listener, err = listener(firstSock+i, s.Name); err != nil {
			in.close()
			return nil, err
		}
		in.Sockets = append(in.Sockets, s)
	}
	return in, nil
}

// parseHandover returns the process that hands over, which has to be our parent, and
// the descriptor of the pipe to it.
func parseHandover(s string) (from, pipe int, err error) {
	pid, fd, _ := strings.Cut(s, ":")
	from, err = strconv.Atoi(pid)
	if err == nil {
		pipe, err = strconv.Atoi(fd)
	}
	if err != nil || pipe < firstSock {
		return 0, 0, fmt.Errorf("%s=%.40q: the form is PPID:FD", handover, s)
	}
	if parent := os.Getppid(); from != parent {
		return 0, 0, fmt.Errorf("process %d hands over to a child of its own, and this one's parent is process %d", from, parent)
	}
	return from, pipe, nil
}

// close gives up what was received so far.
func (in *Inheritance) close() {
	for _, s := range in.Sockets {
		_ = s.Listener.Close() // nobody has used it
	}
	if in.ready != nil {
		_ = in.ready.Close() // says that we failed
	}
}

// Ready says that this process answers clients: to the process that hands over,
// which then leaves, or else to the service manager, as Notify does. Calls after the
// first say nothing to the former.
func (in *Inheritance) Ready() error {
	if in.From == 0 {
		_, err := Notify("READY=1")
		return err
	}
	if in.ready == nil {
		return nil
	}
	_, err := in.ready.WriteString(readyState)
	_ = in.ready.Close() // all was said
	in.ready = nil
	if err != nil {
		return fmt.Errorf("inherit: telling process %d: %w", in.From, err)
	}
	return nil
}
