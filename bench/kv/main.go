// Kv compares kvstore with one transaction for each write, and with bbolt: every
// round runs each store for a moment, one after the other, so that what disturbs the
// machine disturbs all; the medians of the rounds are printed as ratios beside the
// goals. Then it measures kvstore beside itself: the slowest reads beside writers, the
// length of the log, and with -grow reads in stores of up to ten million entries, which
// need 3 GB of disk.
//
//	go run ./kv [-rounds 3] [-time 1s] [-keys 100000] [-grow] [-dir DIR] [-only REGEXP]
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"time"
)

var (
	rounds = flag.Int("rounds", 3, "rounds; the median counts")
	span   = flag.Duration("time", time.Second, "how long each store runs in a round")
	keys   = flag.Int("keys", 100_000, "entries of 100 bytes in each store")
	dir    = flag.String("dir", "", "where the files are made; default: a temporary folder")
	grow   = flag.Bool("grow", false, "measure gets in stores of up to 10,000,000 entries too")
	only   = flag.String("only", "", "run only the comparisons whose names match")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kv:", err)
		os.Exit(1)
	}
}

func run() error {
	match, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	place, err := os.MkdirTemp(*dir, "kv")
	if err != nil {
		return err
	}
	defer os.RemoveAll(place)
	fmt.Printf("%-36s %12s %12s %8s %8s\n", "", "kvstore /s", "peer /s", "ratio", "goal")
	for _, c := range comparisons {
		if !match.MatchString(c.name) {
			continue
		}
		ours, peers, err := c.measure(place)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		verdict := ""
		if ratio := ours / peers; c.goal > 0 && ratio < c.goal {
			verdict = " missed"
		}
		fmt.Printf("%-36s %12.0f %12.0f %8.2f %8.2f%s\n", c.name, ours, peers, ours/peers, c.goal, verdict)
	}
	fmt.Printf(gateLine, "", "measured", "beside", "ratio", "at most")
	for _, g := range gates {
		if !match.MatchString(g.name) {
			continue
		}
		if err := g.run(g.name, place); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	return nil
}

// comparison is one line of the table.
type comparison struct {
	name    string
	open    func(path string) (store, error) // nil: openOurs
	peer    func(path string) (store, error)
	callers int
	work    func(s store, r *rand.Rand) error
	delay   time.Duration // added to each flush to disk
	goal    float64       // ratio of operations per second
}

// measure returns the medians of operations per second.
func (c *comparison) measure(place string) (ours, peers float64, err error) {
	open := c.open
	if open == nil {
		open = openOurs
	}
	var a, b []float64
	for range *rounds {
		for i, opener := range []func(string) (store, error){open, c.peer} {
			rate, err := c.once(place, opener)
			if err != nil {
				return 0, 0, err
			}
			if i == 0 {
				a = append(a, rate)
			} else {
				b = append(b, rate)
			}
		}
	}
	return median(a), median(b), nil
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
