//go:build !h1_safe && (amd64 || arm64 || loong64 || ppc64le || riscv64)

package h1

import "unsafe"

// load returns the eight bytes of b from i on, the first the lowest. The caller
// has made sure that 0 <= i and i+8 <= len(b), which the compiler often cannot see:
// so no byte is read that is not in b. The processors named above read words in
// this byte order and at any address.
func load(b []byte, i int) uint64 {
	return *(*uint64)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))
}

// load2 returns two bytes of b as load does eight.
func load2(b []byte, i int) uint16 {
	return *(*uint16)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))
}
