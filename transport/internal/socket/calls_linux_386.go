package socket

// Package syscall has only socketcall(2) here; Linux 4.3 and later have these.
const (
	sysRecvfrom = 371
	sysSendto   = 369
	sysAccept4  = 364
)
