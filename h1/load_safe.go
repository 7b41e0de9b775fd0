//go:build h1_safe || !(amd64 || arm64 || loong64 || ppc64le || riscv64)

package h1

import "encoding/binary"

// load returns the eight bytes of b from i on, the first the lowest.
func load(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

// load2 returns two bytes of b as load does eight.
func load2(b []byte, i int) uint16 { return binary.LittleEndian.Uint16(b[i:]) }
