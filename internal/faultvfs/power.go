package faultvfs

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// sector is what a disk writes whole or not at all. // bytes
const sector = 512

// node is a file apart from its name. Its fields are guarded by Disk.mu.
//
// Disk.dir gives each path the nodes that may stand under it after a power
// cut: first the one that does for certain, last the one that does now, with
// every change since the folder was flushed. A nil node is no file.
type node struct {
	flushed []byte   // on the disk for certain
	pending []change // not flushed, oldest first
	changes int      // how many there have been
}

// change is a write or a truncation.
type change struct {
	number   int
	off      int    // where data is written
	data     []byte // nil: the file is cut, or extended, to off
	doubtful bool   // a flush of it failed: the system may have forgotten it, and no later flush helps
}

func (c change) end() int { return c.off + len(c.data) }

// apply makes the change in b, a file's content.
func (c change) apply(b []byte) []byte {
	if c.data == nil && c.off < len(b) {
		return b[:c.off]
	}
	if c.end() > len(b) {
		b = append(b, make([]byte, c.end()-len(b))...)
	}
	copy(b[c.off:], c.data)
	return b
}

// settles reports whether an older change must be on the disk, or no longer
// matters, once c is. It asks whether they touch the same bytes.
func (c change) settles(older change) bool {
	if c.data == nil {
		return older.data == nil || c.off < older.end()
	}
	return older.data == nil || c.off < older.end() && older.off < c.end()
}

// sectors cuts a write where a torn one can end.
func (c change) sectors() []change {
	if c.data == nil {
		return []change{c}
	}
	var pieces []change
	for off, data := c.off, c.data; len(data) > 0; {
		n := min(len(data), sector-off%sector)
		pieces = append(pieces, change{off: off, data: data[:n]})
		off, data = off+n, data[n:]
	}
	return pieces
}

// change records that the file was written to or cut. It keeps a copy of data.
func (d *Disk) change(n *node, off int64, data []byte) {
	if n == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n.pending = append(n.pending, change{number: n.changes, off: int(off), data: slices.Clone(data)})
	n.changes++
}

// flush makes everything before change number upTo certain, except what is
// doubtful.
func (n *node) flush(upTo int) {
	var still []change
	for i, c := range n.pending {
		settled := func(later change) bool {
			return later.number < upTo && !later.doubtful && later.settles(c)
		}
		if c.number >= upTo || c.doubtful && !slices.ContainsFunc(n.pending[i+1:], settled) {
			still = append(still, c)
			continue
		}
		n.flushed = c.apply(n.flushed)
	}
	n.pending = still
}

// doubt records that a flush of everything before change number upTo failed.
func (n *node) doubt(upTo int) {
	for i := range n.pending {
		if n.pending[i].number < upTo {
			n.pending[i].doubtful = true
		}
	}
}

// image returns what the file may hold after a power cut.
func (n *node) image(rng *rand.Rand) []byte {
	b := slices.Clone(n.flushed)
	for _, c := range n.survivors(rng) {
		b = c.apply(b)
	}
	return b
}

// survivors chooses among the sectors that are not flushed, and their order.
func (n *node) survivors(rng *rand.Rand) []change {
	var pieces []change
	for _, c := range n.pending {
		pieces = append(pieces, c.sectors()...)
	}
	switch rng.IntN(5) {
	case 0: // nothing was written
		return nil
	case 1: // everything was
		return pieces
	case 2: // the power went in the middle
		return pieces[:rng.IntN(len(pieces)+1)]
	case 3: // the disk has a cache
		share := rng.Float64()
		return slices.DeleteFunc(pieces, func(change) bool { return rng.Float64() < share })
	default: // and chooses its own order
		rng.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
		return pieces[:rng.IntN(len(pieces)+1)]
	}
}

// enter returns the node of a file that is about to be opened, a new one if
// there is none. It returns nil unless the disk is tracked.
func (d *Disk) enter(path string) *node {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dir == nil {
		return nil
	}
	if now := d.now(path); now != nil {
		return now
	}
	n := &node{}
	d.rename(path, n)
	return n
}

// leave records that the file was deleted.
func (d *Disk) leave(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dir != nil && d.now(path) != nil {
		d.rename(path, nil)
	}
}

// now returns the node that stands under path, or nil.
func (d *Disk) now(path string) *node {
	if nodes := d.dir[path]; len(nodes) > 0 {
		return nodes[len(nodes)-1]
	}
	return nil
}

// rename puts a node, or none, under path.
func (d *Disk) rename(path string, n *node) {
	if len(d.dir[path]) == 0 {
		d.dir[path] = []*node{nil}
	}
	d.dir[path] = append(d.dir[path], n)
}

// flushFolder makes the present names certain.
func (d *Disk) flushFolder() {
	for path, nodes := range d.dir {
		d.dir[path] = nodes[len(nodes)-1:]
	}
}

// Image writes to the folder dir, which must exist, what a power cut at this
// moment may leave of the disk: of what was not flushed, any sectors, and any
// of the names that a file was created or deleted under. rng decides. The disk
// must be tracked. The log's index, which is rebuilt after a crash, is not in
// it.
func (d *Disk) Image(dir string, rng *rand.Rand) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dir == nil {
		return fmt.Errorf("faultvfs: %q is not tracked", d.folder)
	}
	paths := make([]string, 0, len(d.dir))
	for path := range d.dir {
		paths = append(paths, path)
	}
	slices.Sort(paths) // so that equal seeds give equal images
	for _, path := range paths {
		n := d.dir[path][rng.IntN(len(d.dir[path]))]
		if n == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), n.image(rng), 0o600); err != nil {
			return fmt.Errorf("faultvfs: %w", err)
		}
	}
	return nil
}
