package main

import (
	"fmt"
	"io"
	"strings"
)

const (
	progressStep  = 10_000 // rows between two looks
	progressWidth = 30     // columns of the bar
)

// progress shows on a terminal how far a long command has come.
type progress struct {
	w     io.Writer // nil: nobody looks
	total int64     // bytes of the input; 0: not known
	rows  int
	shown bool
}

// newProgress returns one for stderr, silent unless that is a terminal.
func (p *program) newProgress(total int64) *progress {
	if !terminal(p.stderr) {
		return &progress{}
	}
	return &progress{w: p.stderr, total: total}
}

// step counts a row, at that byte of the input.
func (p *progress) step(done int64) {
	p.rows++
	if p.w == nil || p.rows%progressStep != 0 {
		return
	}
	p.shown = true
	if p.total <= 0 {
		fmt.Fprintf(p.w, "\r%d entries", p.rows)
		return
	}
	done = min(done, p.total) // the file may have grown
	full := int(done * progressWidth / p.total)
	bar := strings.Repeat("#", full) + strings.Repeat(".", progressWidth-full)
	fmt.Fprintf(p.w, "\r[%s] %3d%% %d entries", bar, done*100/p.total, p.rows)
}

// end takes the line away, for what is printed next.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K") // erases to the end of the line (ECMA-48)
	}
}
