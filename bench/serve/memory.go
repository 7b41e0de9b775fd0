//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"
)

const (
	memoryTitle = "memory: of an idle connection after one request"
	memoryLine  = "%-9s%12s%12s   %-14s%-14s%s"
)

// memoryGoals are what a connection of postern's may take as a part of a peer's.
var memoryGoals = map[string]float64{"fasthttp": 0.3, "nethttp": 0.22}

// memoryLimit is what it may take, in bytes.
const memoryLimit = 5000

// memory prints what connections cost that have had one reply and are idle: the
// memory with many less that with 64, shared among those between. No collection is
// forced, neither here nor there: garbage counts.
func memory(place string, list []server) {
	for _, w := range []workload{{name: "memory", path: "/"}, {name: "memory, unix", path: "/", unix: true}} {
		fmt.Printf("\n%s, bytes\n", memoryTitle+map[bool]string{true: ", over a Unix socket"}[w.unix])
		fmt.Printf(memoryLine+"\n", "", "of 1000", "of 10000", "postern's", "of 10000", "at most")
		var ours []float64
		for i := range list {
			s := &list[i]
			costs, err := s.idle(place, w)
			if err != nil {
				note("%s: %s is left out: %v", w.name, s.name, err)
				continue
			}
			first, second, limit := "", "", ""
			switch {
			case s.name == "postern":
				ours = costs
				limit = fmt.Sprint(memoryLimit, map[bool]string{true: " missed"}[costs[1] > memoryLimit*(1+noise)])
			case ours != nil && costs[0] > 0 && costs[1] > 0:
				ratio := ours[1] / costs[1]
				first, second = fmt.Sprintf("%.2f", ours[0]/costs[0]), fmt.Sprintf("%.2f", ratio)
				limit = atMost(memoryGoals[s.name], []float64{ratio})
			}
			line := fmt.Sprintf(memoryLine, s.name, fmt.Sprintf("%.0f", costs[0]), fmt.Sprintf("%.0f", costs[1]), first, second, limit)
			fmt.Println(strings.TrimRight(line, " "))
		}
	}
}

// idle returns what a connection costs with 1000 and with 10,000, in bytes.
func (s *server) idle(place string, w workload) ([]float64, error) {
	server, _ := cores()
	p, err := s.try(place, &w, []int{server})
	if err != nil {
		return nil, err
	}
	defer p.stop()
	var costs []float64
	few, base := 0, 0
	for _, n := range []int{64, 1000, 10_000} {
		for len(p.conns) < n {
			c := new(conn)
			if err := p.dial(c); err != nil {
				return nil, fmt.Errorf("connection %d: %w", len(p.conns), err)
			}
			p.conns = append(p.conns, c)
			if err := p.check(c); err != nil {
				return nil, fmt.Errorf("connection %d: %w", len(p.conns), err)
			}
		}
		time.Sleep(time.Second) // until nothing moves
		used := pss(family(p.cmd.Process.Pid))
		if few == 0 {
			few, base = n, used
			continue
		}
		costs = append(costs, float64(used-base)/float64(n-few))
	}
	return costs, nil
}
