//go:build !386

package socket

import "syscall"

// The numbers of the system calls of the hot path.
const (
	sysRecvfrom = syscall.SYS_RECVFROM
	sysSendto   = syscall.SYS_SENDTO
	sysAccept4  = syscall.SYS_ACCEPT4
)
