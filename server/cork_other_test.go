//go:build !linux

package server_test

const tcpCork = 0

func setInt(fd uintptr, level, option, value int) {}
