// Package stdtests holds no code: its tests take those of package net/http that test
// a server from the outside, and run them on ours. None of them is copied: they are
// read from the sources of the Go toolchain that runs us, put together with the
// helpers that they need, compiled with package http here in the place of net/http,
// and run. See tests.txt for what is taken and what is not, and why.
//
// The go command is shown what was put together as folder std of this module, by its
// -overlay. A test's line numbers are those of the toolchain's file.
package stdtests
