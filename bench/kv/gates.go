package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/kvstore"
)

// gates are what is measured of kvstore beside itself.
var gates = []struct {
	name string
	run  func(name, place string) error
}{
	{"p99 beside 16 writers, queue", besideWriters},
	{"log under load, threshold", logUnderLoad},
	{"get, 10M keys, 100k keys", func(name, place string) error { return growth(name, place, "plain", openOurs) }},
	{"get, 10M keys, mapped, 100k keys", func(name, place string) error { return growth(name, place, "mapped", openMapped) }},
}

const gateLine = "%-36s %12s %12s %8s %8s\n"

// printGate prints a ratio that may not be more than its goal.
func printGate(name, ours, other string, ratio, goal float64) {
	verdict := ""
	if ratio > goal {
		verdict = " missed"
	}
	fmt.Printf("%-36s %12s %12s %8.3f %8.3f%s\n", name, ours, other, ratio, goal, verdict)
}

// while calls every function of work over and over, each on a goroutine of its own,
// until during returns.
func while(work []func() error, during func() error) error {
	var (
		group sync.WaitGroup
		stop  atomic.Bool
		fault atomic.Pointer[error]
	)
	for _, f := range work {
		group.Go(func() {
			for !stop.Load() {
				if err := f(); err != nil {
					fault.Store(&err)
					return
				}
			}
		})
	}
	err := during()
	stop.Store(true)
	group.Wait()
	if failed := fault.Load(); failed != nil {
		err = errors.Join(err, *failed)
	}
	return err
}

// writers is what n callers do that write as fast as they can.
func writers(s store, n int) (work []func() error) {
	for i := range n {
		r := rand.New(rand.NewPCG(2, uint64(i)))
		work = append(work, func() error { return put(s, r) })
	}
	return work
}

// besideWriters compares the 99th percentile of a get in a View with that of one in a
// procedure, while 16 callers write.
func besideWriters(name, place string) error {
	opened, err := openOurs(filepath.Join(place, "beside"))
	if err != nil {
		return err
	}
	s := opened.(ours)
	defer s.close()
	if err := s.fill(*keys); err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(1, 1))
	ways := []func() error{
		func() error { return get(s, r) },
		func() error {
			return s.s.Execute(background, func(tx *kvstore.Tx) error {
				_, _, err := tx.Get("t", keyOf(r.IntN(*keys)))
				return err
			})
		},
	}
	var p99 [2][]float64
	for range *rounds {
		for i, once := range ways {
			var took []float64
			err := while(writers(s, 16), func() error {
				for end := time.Now().Add(*span); time.Now().Before(end); {
					began := time.Now()
					if err := once(); err != nil {
						return err
					}
					took = append(took, float64(time.Since(began))/1e3)
				}
				return nil
			})
			if err != nil {
				return err
			}
			slices.Sort(took)
			p99[i] = append(p99[i], took[len(took)*99/100])
		}
	}
	view, queue := median(p99[0]), median(p99[1])
	printGate(name, fmt.Sprintf("%.0f µs", view), fmt.Sprintf("%.0f µs", queue), view/queue, 0.02)
	return nil
}

// logUnderLoad compares the longest that the write-ahead log gets with the length at
// which it is to start over, while 16 callers write ten entries at a time, and snapshots
// are held one after the other: by 4 callers for a millisecond each, by one for 10 ms.
func logUnderLoad(name, place string) error {
	path := filepath.Join(place, "log")
	opened, err := openOurs(path)
	if err != nil {
		return err
	}
	s := opened.(ours)
	defer s.close()
	if err := s.fill(*keys); err != nil {
		return err
	}
	var work []func() error
	for i := range 16 {
		r := rand.New(rand.NewPCG(2, uint64(i)))
		work = append(work, func() error {
			return s.s.Execute(background, func(tx *kvstore.Tx) error {
				for range 10 {
					if _, err := tx.Overwrite("t", keyOf(r.IntN(*keys)), value); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	for range 4 {
		work = append(work, func() error { return s.view(time.Millisecond) })
	}
	work = append(work, func() error { return s.view(10 * time.Millisecond) })
	before := s.s.Stats().Checkpoints
	checkpoints := func() int { return int(s.s.Stats().Checkpoints - before) }
	longest := int64(0)
	err = while(work, func() error {
		began := time.Now()
		for time.Since(began) < time.Duration(*rounds)**span || checkpoints() < 5 {
			if time.Since(began) > time.Minute {
				return errors.New("the log comes to its threshold too seldom")
			}
			time.Sleep(time.Millisecond)
			info, err := os.Stat(path + "-wal")
			if err != nil {
				return err
			}
			longest = max(longest, info.Size())
		}
		return nil
	})
	if err != nil {
		return err
	}
	const threshold = 8000 * (4096 + 24) // bytes: pages and the headers of their frames
	printGate(name, fmt.Sprintf("%.0f MB", float64(longest)/1e6), fmt.Sprintf("%.0f MB", threshold/1e6), float64(longest)/threshold, 2)
	return nil
}

// view reads a hundred entries and holds its snapshot for the time.
func (o ours) view(hold time.Duration) error {
	return o.s.View(background, func(tx *kvstore.ReadTx) error {
		for _, err := range tx.Entries("t", kvstore.Range{Limit: 100}) {
			if err != nil {
				return err
			}
		}
		time.Sleep(hold)
		return nil
	})
}

// growth compares how long a get takes in stores of 100 thousand, a million and ten
// million entries, with keys of 16 bytes. All three are open at once.
func growth(name, place, prefix string, open func(string) (store, error)) error {
	if !*grow {
		return nil
	}
	sizes := []int{100_000, 1_000_000, 10_000_000}
	key := func(n int) string { return fmt.Sprintf("key%013d", n) }
	stores := make([]ours, len(sizes))
	for i, n := range sizes {
		opened, err := open(filepath.Join(place, prefix+fmt.Sprint(n)))
		if err != nil {
			return err
		}
		stores[i] = opened.(ours)
		defer stores[i].close()
		for from := 0; from < n; from += 50_000 {
			if err := stores[i].s.Execute(background, func(tx *kvstore.Tx) error {
				for k := from; k < min(n, from+50_000); k++ {
					if _, err := tx.Overwrite("t", key(k), value); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return err
			}
		}
	}
	took := make([][]float64, len(sizes))
	r := rand.New(rand.NewPCG(1, 1))
	for range *rounds {
		for i, s := range stores {
			began, count := time.Now(), 0
			for ; time.Since(began) < *span; count++ {
				if _, found, err := s.s.Get(background, "t", key(r.IntN(sizes[i]))); err != nil || !found {
					return fmt.Errorf("found %v, %w", found, err)
				}
			}
			took[i] = append(took[i], float64(time.Since(began))/float64(count)/1e3)
		}
	}
	text := func(us float64) string { return fmt.Sprintf("%.1f µs", us) }
	small := median(took[0])
	for i, name := range []string{strings.Replace(name, "10M", "1M", 1), name} {
		bigger := median(took[i+1])
		printGate(name, text(bigger), text(small), bigger/small, 2)
	}
	return nil
}
