package faultvfs

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Which contents a file of one byte a sector may have after a power cut. Each
// test writes letters; a dot is a zero byte.
func TestWhatAPowerCutLeaves(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(d *Disk, n *node)
		want string // every possible content, in order
	}{
		{"flushed", func(d *Disk, n *node) {
			write(d, n, 0, "ab")
			n.flush(n.changes)
		}, "ab"},
		{"not flushed", func(d *Disk, n *node) {
			write(d, n, 0, "ab")
		}, "-, .b, a, ab"},
		{"written over", func(d *Disk, n *node) {
			write(d, n, 0, "ab")
			n.flush(n.changes)
			write(d, n, 0, "c")
		}, "ab, cb"},
		{"flushed up to a change", func(d *Disk, n *node) {
			write(d, n, 0, "a")
			upTo := n.changes
			write(d, n, 1, "b")
			n.flush(upTo)
		}, "a, ab"},
		{"cut", func(d *Disk, n *node) {
			write(d, n, 0, "ab")
			n.flush(n.changes)
			d.change(n, sector, nil)
		}, "a, ab"},
		{"a failed flush is not made good by the next", func(d *Disk, n *node) {
			write(d, n, 0, "a")
			n.doubt(n.changes)
			write(d, n, 1, "b")
			n.flush(n.changes)
		}, ".b, ab"},
		{"but what was doubtful can be written again", func(d *Disk, n *node) {
			write(d, n, 0, "a")
			n.doubt(n.changes)
			write(d, n, 0, "b")
			n.flush(n.changes)
		}, "b"},
		{"or cut off", func(d *Disk, n *node) {
			write(d, n, 0, "ab")
			n.doubt(n.changes)
			d.change(n, 0, nil)
			n.flush(n.changes)
			write(d, n, 0, "c")
			n.flush(n.changes)
		}, "c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, n := &Disk{}, &node{}
			c.do(d, n)
			rng := rand.New(rand.NewPCG(1, 1))
			seen := map[string]bool{}
			for range 500 {
				seen[letters(n.image(rng))] = true
			}
			var all []string
			for s := range seen {
				all = append(all, s)
			}
			slices.Sort(all)
			if got := strings.Join(all, ", "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// write puts each letter into a sector of its own, from the given one on.
func write(d *Disk, n *node, first int64, letters string) {
	var data []byte
	for _, letter := range []byte(letters) {
		data = append(data, letter)
		data = append(data, make([]byte, sector-1)...)
	}
	d.change(n, first*sector, data)
}

// letters is the inverse of write, for a whole file; - is an empty one.
func letters(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	s := ""
	for off := 0; off < len(b); off += sector {
		if b[off] == 0 {
			s += "."
			continue
		}
		s += string(b[off])
	}
	return s
}

// Which files may be there after a power cut.
func TestNamesAfterAPowerCut(t *testing.T) {
	const path = "/x"
	create := func(d *Disk) { d.enter(path) }
	remove := func(d *Disk) { d.leave(path) }
	flush := func(d *Disk) { d.flushFolder() }
	for i, c := range []struct {
		do   []func(*Disk)
		want string // of the nodes that may stand under the name; 0 is none
	}{
		{nil, ""},
		{[]func(*Disk){create}, "0 1"},
		{[]func(*Disk){create, create}, "0 1"}, // opened twice
		{[]func(*Disk){create, flush}, "1"},
		{[]func(*Disk){create, flush, remove}, "0 1"},
		{[]func(*Disk){create, flush, remove, create}, "0 1 2"},
		{[]func(*Disk){create, flush, remove, create, flush}, "1"},
		{[]func(*Disk){create, flush, remove, flush}, "0"},
		{[]func(*Disk){remove}, ""}, // of what was not there
	} {
		d := &Disk{dir: map[string][]*node{}}
		for _, do := range c.do {
			do(d)
		}
		seen := map[*node]int{nil: 0}
		var all []string
		for _, n := range d.dir[path] {
			if _, known := seen[n]; !known {
				seen[n] = len(seen)
			}
			all = append(all, fmt.Sprint(seen[n]))
		}
		slices.Sort(all)
		if got := strings.Join(slices.Compact(all), " "); got != c.want {
			t.Errorf("case %d: got %q, want %q", i, got, c.want)
		}
	}
}
