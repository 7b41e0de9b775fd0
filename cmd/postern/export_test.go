package main

import "io"

// Main is the program; Run is the same without its process.
var (
	Main = main
	Run  = run
)

// Progress shows rows of an import as a terminal would see them. Each has size
// bytes of a total; 0 is not known.
func Progress(w io.Writer, rows int, size, total int64) {
	p := &progress{w: w, total: total}
	for i := range rows {
		p.step(int64(i+1) * size)
	}
	p.end()
}
