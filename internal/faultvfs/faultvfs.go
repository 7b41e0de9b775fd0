// Package faultvfs puts a bad disk under SQLite, for tests and benchmarks: one
// that fails on demand, that loses what was not flushed when the power goes,
// that lies about flushing, or that is slow.
//
// [Mount] lays such a disk under one folder. From the first Mount on the
// package is the process's default VFS, in front of the one that was; files in
// other folders are handed to that one and never seen again. So a program that
// opens a database by its plain path needs to know nothing of this package.
package faultvfs

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Config says how a disk behaves from the beginning.
type Config struct {
	// Track keeps in memory what a power cut may leave of each file, for
	// [Disk.Image].
	Track bool

	// Lie makes every flush claim success and do nothing.
	Lie bool

	// NoFlush makes flushes count without being carried out below. What a
	// power cut leaves is up to [Disk.Image] then, and tests are faster.
	NoFlush bool

	// SyncDelay is added to every flush, for benchmarks of slower disks.
	SyncDelay time.Duration

	// OnSync is called before and after each flush of the file, whatever
	// comes of it, on the goroutine that flushes. The engine is in the middle
	// of something: OnSync may call the Disk, not the connection.
	OnSync func(path string, done bool)
}

// Disk is what lies under one folder. It is safe for concurrent use.
type Disk struct {
	folder string
	config Config

	mu     sync.Mutex
	counts [nOps]int
	faults []Fault
	failed int
	dir    map[string][]*node // see power.go; nil unless tracked
}

// disks holds the mounted disks by folder.
var disks struct {
	sync.RWMutex
	at map[string]*Disk
}

// Mount lays a disk under the folder, which must exist, and everything that is
// in it counts as flushed. Files that are open already, and files in folders
// below, are not affected. One disk can be mounted in a folder at a time.
func Mount(folder string, c Config) (*Disk, error) {
	if err := register(); err != nil {
		return nil, fmt.Errorf("faultvfs: %w", err)
	}
	folder, err := filepath.Abs(folder)
	if err == nil {
		folder, err = filepath.EvalSymlinks(folder)
	}
	if err != nil {
		return nil, fmt.Errorf("faultvfs: %w", err)
	}
	d := &Disk{folder: folder, config: c}
	if c.Track {
		if d.dir, err = readFolder(folder); err != nil {
			return nil, fmt.Errorf("faultvfs: %w", err)
		}
	}
	disks.Lock()
	defer disks.Unlock()
	if disks.at[folder] != nil {
		return nil, fmt.Errorf("faultvfs: %q has a disk mounted", folder)
	}
	if disks.at == nil {
		disks.at = map[string]*Disk{}
	}
	disks.at[folder] = d
	return d, nil
}

// Unmount takes the disk away from its folder. Files opened through it stay
// with it until they are closed.
func (d *Disk) Unmount() {
	disks.Lock()
	defer disks.Unlock()
	if disks.at[d.folder] == d {
		delete(disks.at, d.folder)
	}
}

// diskOf returns the disk that the file lies on, or nil.
func diskOf(path string) *Disk {
	disks.RLock()
	defer disks.RUnlock()
	return disks.at[filepath.Dir(path)]
}

// readFolder returns the files of a folder as flushed ones.
func readFolder(folder string) (map[string][]*node, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	dir := map[string][]*node{}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		path := filepath.Join(folder, e.Name())
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		dir[path] = []*node{{flushed: b}}
	}
	return dir, nil
}
