package server_test

import "syscall"

const tcpCork = syscall.TCP_CORK

func setInt(fd uintptr, level, option, value int) {
	_ = syscall.SetsockoptInt(int(fd), level, option, value)
}
