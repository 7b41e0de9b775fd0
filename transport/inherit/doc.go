// Package inherit is about listening sockets that outlive a process: those that a
// service manager opens and passes on (systemd's socket activation,
// sd_listen_fds(3)), and those that a process hands over to the one that takes its
// place, so that a restart refuses nobody. It also tells a service manager how far
// the process is (sd_notify(3)).
//
//	in, err := inherit.Receive()    // first thing in main
//	...                             // listen, unless in.Sockets has what is needed
//	err = in.Ready()                // clients are answered from here on
//	...
//	pid, err := inherit.Handover(ctx, nil, sockets) // on a signal
//	...                             // if err is nil: shut down; else go on
//
// # How sockets are passed
//
// LISTEN_FDS is the number of sockets, which are the descriptors from 3 on.
// LISTEN_FDNAMES has their names, with colons in between. LISTEN_PID is the process
// that they are for, so that a child that happens to have the same environment does
// not take what is not there for a socket.
//
// A process that hands over cannot know LISTEN_PID before it has started the other
// one, and the environment is fixed by then. So it sets POSTERN_HANDOVER instead, to
// "PPID:FD": the process itself, whose child the receiver has to be, and the
// descriptor of a pipe by which the new process says READY=1. The end of the pipe
// without that means that it failed. Receive takes all of these variables away, so
// the children of the receiver see none of them.
//
// Unix only. Elsewhere nothing is ever received, and Handover fails with an error
// that wraps errors.ErrUnsupported.
package inherit
