//go:build race

package socket

import "syscall"

// What is sent before it is received happened before. The race detector knows that
// of the calls of package syscall only, and reported what a client's goroutine had
// written before it sent a request as a race with the handler that reads it.
const raceEnabled = true

func raceRecv(fd uintptr, p []byte) (int, syscall.Errno) { return number(syscall.Read(int(fd), p)) }

func raceSend(fd uintptr, p []byte) (int, syscall.Errno) { return number(syscall.Write(int(fd), p)) }

func number(n int, err error) (int, syscall.Errno) {
	errno, _ := err.(syscall.Errno)
	return n, errno
}
