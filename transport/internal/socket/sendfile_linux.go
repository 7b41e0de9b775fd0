package socket

import (
	"io"
	"os"
	"syscall"
)

// sendfileSize is the most that one sendfile(2) is asked for, in bytes: a deadline
// is looked at in between.
const sendfileSize = 1 << 20

// ReadFrom implements io.ReaderFrom: what r has goes to the peer. A regular file,
// also one in an *io.LimitedReader, is sent by sendfile(2), which copies nothing.
func (c *Conn) ReadFrom(r io.Reader) (n int64, err error) {
	left := int64(1<<63 - 1)
	src := r
	limited, ok := r.(*io.LimitedReader)
	if ok {
		src, left = limited.R, limited.N
	}
	if f, ok := src.(*os.File); ok && left > 0 {
		var handled bool
		n, handled, err = c.sendfile(f, left)
		if limited != nil {
			limited.N -= n
		}
		if handled || err != nil {
			return n, err
		}
	}
	m, err := io.Copy(onlyWriter{c}, r)
	return n + m, err
}

// onlyWriter hides ReadFrom from io.Copy.
type onlyWriter struct{ io.Writer }

// sendfile sends at most left bytes of f from where it is. It is not handled if the
// kernel or f does not do that: what was not sent, all of it as a rule, has to go
// another way.
func (c *Conn) sendfile(f *os.File, left int64) (n int64, handled bool, err error) {
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return 0, false, nil
	}
	to, err := c.polled()
	if err != nil {
		return 0, false, c.fault("write", err)
	}
	out, err := to.SyscallConn()
	if err != nil {
		return 0, false, c.fault("write", err)
	}
	in, err := f.SyscallConn()
	if err != nil {
		return 0, false, nil
	}
	var sent int
	var errno error
	write := func(from uintptr) {
		err = out.Write(func(to uintptr) bool {
			for {
				sent, errno = syscall.Sendfile(int(to), int(from), nil, int(min(left, sendfileSize)))
				if errno != syscall.EINTR {
					return errno != syscall.EAGAIN
				}
			}
		})
	}
	for left > 0 {
		if failed := in.Control(write); failed != nil {
			return n, false, failed
		}
		switch {
		case err != nil: // a deadline, or closed
			return n, true, c.fault("write", err)
		case errno == syscall.EINVAL || errno == syscall.ENOSYS || errno == syscall.EOPNOTSUPP:
			return n, false, nil
		case errno != nil:
			return n, true, c.fault("write", os.NewSyscallError("sendfile", errno))
		case sent == 0: // the end of the file
			return n, true, nil
		}
		n += int64(sent)
		left -= int64(sent)
	}
	return n, true, nil
}
