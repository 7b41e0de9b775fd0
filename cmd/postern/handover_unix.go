//go:build unix

package main

import (
	"os"
	"syscall"
)

// handoverSignal makes the command hand over to a new process.
var handoverSignal os.Signal = syscall.SIGUSR2
