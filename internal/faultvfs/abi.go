package faultvfs

import "unsafe"

// The engine is C translated to Go: it knows memory by its address and a
// function by the address of its function value. These four functions are the
// whole border. They are sound because the addresses are of memory outside the
// Go heap, of package variables or of top-level functions: none of these is
// ever moved or collected. The engine owns what it passes in, for the duration
// of the call.

// at returns the T that lies at the address p.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// bytesAt returns the n bytes that lie at the address p.
func bytesAt(p uintptr, n int32) []byte { return unsafe.Slice(at[byte](p), n) }

// function returns the function whose address the engine knows as p.
func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }

// address returns the address of a top-level function, or of a package
// variable given by its pointer.
func address[T any](v T) uintptr { return *(*uintptr)(unsafe.Pointer(&v)) }

// fileSize is the room that a file takes. // bytes
const fileSize = unsafe.Sizeof(file{})

// vfsSize is the room that the engine's description of a VFS takes. // bytes
const vfsSize = unsafe.Sizeof(vfs{})
