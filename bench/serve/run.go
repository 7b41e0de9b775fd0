//go:build linux

package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// sliceTime is how long a server has load before it is the next one's turn.
const sliceTime = 200 * time.Millisecond

// disturbance is the part of a slice that others may have had, at most.
const disturbance = 0.1

// result is what a workload said of one server. Its slices are those of all rounds,
// and with the same index of the same cycle as every other's.
type result struct {
	name            string
	slices          []sample
	times           histogram
	errors          int
	userTime, ticks time.Duration // of its processes
}

// run measures one workload and prints its table.
func run(place string, w *workload, list []server) error {
	var results []*result
	foreign := 0.0
	for range *rounds {
		more, busy, err := round(place, w, list)
		if err != nil {
			return err
		}
		foreign = max(foreign, busy)
		if results == nil {
			results = more
			continue
		}
		for _, r := range results {
			i := slices.IndexFunc(more, func(m *result) bool { return m.name == r.name })
			if i < 0 {
				return fmt.Errorf("%s ran in one round only", r.name)
			}
			r.add(more[i])
		}
	}
	table(w, results, foreign)
	return nil
}

// round starts all servers and loads them in turn. It returns, too, how many
// processors others kept busy.
func round(place string, w *workload, list []server) (results []*result, foreign float64, err error) {
	serverCore, clientCore := cores()
	on, us := []int{serverCore}, []int{clientCore}
	if w.free {
		on, us = []int{serverCore, clientCore}, []int{serverCore, clientCore}
	}
	var up []*process
	defer func() {
		for _, p := range up {
			p.stop()
		}
	}()
	for i := range list {
		if s := &list[i]; s.only == nil || s.only(w) {
			if p := s.start(place, w, on...); p != nil {
				up = append(up, p)
			}
		}
	}
	if len(up) == 0 {
		return nil, 0, errors.New("no server is up")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pinSelf(us...)
	defer pinSelf(serverCore, clientCore)
	for _, p := range up {
		if err := p.open(); err != nil {
			return nil, 0, fmt.Errorf("%s: %w", p.name, err)
		}
		p.pids = family(p.cmd.Process.Pid)
		r := &result{name: p.name}
		r.userTime, r.ticks = userTime(p.pids)
		results = append(results, r)
	}
	l := &loader{spin: serverCore != clientCore && !w.free}
	all := func() (sum time.Duration) {
		for _, p := range up {
			sum += cpuTime(p.pids)
		}
		return sum + selfTime()
	}
	cycles := max(1, int(*span/sliceTime))
	begin, machine, ours := time.Now(), machineTime(), all()
	for cycle := -1; cycle < cycles; cycle++ { // the first is a rehearsal
		for i := range up {
			k := (i + cycle + 1) % len(up)
			s, err := l.quiet(up[k], cycle < 0)
			if err != nil {
				return nil, 0, fmt.Errorf("%s: %w", up[k].name, err)
			}
			if cycle >= 0 {
				results[k].slices = append(results[k].slices, s)
			}
		}
	}
	foreign = float64(machineTime()-machine-(all()-ours)) / float64(time.Since(begin))
	for i, p := range up {
		user, ticks := userTime(p.pids)
		results[i].userTime, results[i].ticks = user-results[i].userTime, ticks-results[i].ticks
		results[i].times, results[i].errors = p.times, p.errors
	}
	return results, max(0, foreign), nil
}

// quiet loads a server for a slice, and again, a few times, if others had too much of
// the client's processor.
func (l *loader) quiet(p *process, rehearsal bool) (s sample, err error) {
	for range 4 {
		s, err = l.slice(p.target, p.pids, min(sliceTime, *span), rehearsal)
		if !l.spin {
			s.lost = 0 // we are among the others
		}
		if err != nil || s.lost < disturbance {
			break
		}
	}
	return s, err
}

func (r *result) add(o *result) {
	r.slices = append(r.slices, o.slices...)
	r.errors += o.errors
	r.userTime += o.userTime
	r.ticks += o.ticks
	r.times.total += o.times.total
	for i, n := range o.times.counts {
		r.times.counts[i] += n
	}
}

func rateOf(s sample) float64 { return s.rate }
func cpuOf(s sample) float64  { return s.cpu }

func (r *result) rate() float64 { return middle(r.slices, rateOf) }
func (r *result) cpu() float64  { return middle(r.slices, cpuOf) }

// user is the part of cpu that is spent outside of the kernel.
func (r *result) user() float64 { return r.cpu() * float64(r.userTime) / float64(max(r.ticks, 1)) }

func middle(s []sample, of func(sample) float64) float64 {
	var v []float64
	for _, s := range s {
		v = append(v, of(s))
	}
	_, m, _ := quartiles(v)
	return m
}

// against returns the ratios to a peer, cycle by cycle.
func (r *result) against(peer *result, of func(sample) float64) (v []float64) {
	for i := range min(len(r.slices), len(peer.slices)) {
		if a, b := of(r.slices[i]), of(peer.slices[i]); a > 0 && b > 0 {
			v = append(v, a/b)
		}
	}
	return v
}

func quartiles(v []float64) (low, middle, high float64) {
	if len(v) == 0 {
		return 0, 0, 0
	}
	slices.Sort(v)
	n := len(v)
	return v[n/4], (v[(n-1)/2] + v[n/2]) / 2, v[n*3/4]
}
