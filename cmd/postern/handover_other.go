//go:build !unix

package main

import "os"

// handoverSignal is nil: there is no such signal here.
var handoverSignal os.Signal
