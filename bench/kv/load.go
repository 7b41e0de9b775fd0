package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"postern/internal/faultvfs"
	"sync"
	"sync/atomic"
	"time"
)

// store is what a comparison needs of a store. Value is 100 bytes.
type store interface {
	put(key string, value []byte) error
	get(key string) error
	fill(n int) error
	close() error
}

var value = make([]byte, 100)

func keyOf(n int) string { return fmt.Sprintf("key%09d", n) }

// put and get work on a random key.
func put(s store, r *rand.Rand) error { return s.put(keyOf(r.IntN(*keys)), value) }
func get(s store, r *rand.Rand) error { return s.get(keyOf(r.IntN(*keys))) }

// once opens a store, fills it, lets the callers work for the time, and returns how
// many operations a second they did.
func (c *comparison) once(place string, open func(string) (store, error)) (float64, error) {
	place = filepath.Join(place, fmt.Sprint(serial.Add(1)))
	if err := os.Mkdir(place, 0o700); err != nil {
		return 0, err
	}
	defer os.RemoveAll(place)
	if c.delay > 0 {
		disk, err := faultvfs.Mount(place, faultvfs.Config{SyncDelay: c.delay})
		if err != nil {
			return 0, err
		}
		defer disk.Unmount()
	}
	path := filepath.Join(place, "db")
	s, err := open(path)
	if err != nil {
		return 0, err
	}
	if err := s.fill(*keys); err != nil {
		return 0, err
	}
	var (
		done  sync.WaitGroup
		stop  atomic.Bool
		total atomic.Int64
		fault atomic.Pointer[error]
	)
	begin := time.Now()
	for i := range c.callers {
		done.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			n := int64(0)
			for !stop.Load() {
				if err := c.work(s, r); err != nil {
					fault.Store(&err)
					break
				}
				n++
			}
			total.Add(n)
		})
	}
	time.Sleep(*span)
	stop.Store(true)
	done.Wait()
	rate := float64(total.Load()) / time.Since(begin).Seconds()
	if err := fault.Load(); err != nil {
		s.close()
		return 0, *err
	}
	return rate, s.close()
}

var serial atomic.Int64
