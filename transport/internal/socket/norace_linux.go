//go:build !race

package socket

import "syscall"

const raceEnabled = false

func raceRecv(uintptr, []byte) (int, syscall.Errno) { panic("socket: no race detector") }

func raceSend(uintptr, []byte) (int, syscall.Errno) { panic("socket: no race detector") }
