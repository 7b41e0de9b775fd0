//go:build !linux

package tcp

import "net"

func accepting(ln *net.TCPListener) (listener, error) { return ln, nil }

// setNagle takes back what package net sets. It fails only when the peer is gone
// already, as the first read will say.
func setNagle(conn net.Conn) { conn.(*net.TCPConn).SetNoDelay(false) }
