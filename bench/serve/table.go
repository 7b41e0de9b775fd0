//go:build linux

package main

import (
	"fmt"
	"strings"
)

// noise is how far beyond a goal a ratio may be before it counts as missed.
const noise = 0.03

// table prints what was measured: of each server, and of postern beside it.
func table(w *workload, results []*result, foreign float64) {
	disturbed, all := 0, 0
	for _, r := range results {
		for _, s := range r.slices {
			all++
			if s.lost >= disturbance {
				disturbed++
			}
		}
	}
	fmt.Printf("\n%s; others kept %.2f processors busy, and disturbed %d of %d slices\n", w.title(), foreign, disturbed, all)
	fmt.Printf("%-9s%9s%8s%6s%7s%8s   %-20s%-15s%-20s%s\n", "", "req/s", "CPU µs", "user", "p50", "p99", "postern's CPU", "at most", "postern's req/s", "at least")
	var ours *result
	for _, r := range results {
		if r.name == "postern" {
			ours = r
		}
	}
	for _, r := range results {
		line := fmt.Sprintf("%-9s%9.0f%8.2f%6.2f%7.0f%8.0f   ", r.name, r.rate(), r.cpu(), r.user(), r.times.quantile(0.5), r.times.quantile(0.99))
		if ours != nil && r != ours {
			g := w.goals[r.name]
			cpu, rate := ours.against(r, cpuOf), ours.against(r, rateOf)
			line += fmt.Sprintf("%-20s%-15s%-20s%s", spread(cpu), atMost(g.cpu, cpu), spread(rate), atLeast(g.rate, rate))
		}
		fmt.Println(strings.TrimRight(line, " "))
		if r.errors > 0 {
			fmt.Printf("         %d replies of %s were lost\n", r.errors, r.name)
		}
	}
	for _, r := range results {
		if g := w.goals[r.name]; ours != nil && g.user > 0 && r.user() > 0 {
			ratio := ours.user() / r.user()
			fmt.Printf("postern's user time: %.2f of %s's, at most %s\n", ratio, r.name, atMost(g.user, []float64{ratio}))
		}
	}
}

// spread is the median and, in brackets, the quartiles.
func spread(v []float64) string {
	low, m, high := quartiles(v)
	if m == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.2f-%.2f)", m, low, high)
}

func atMost(limit float64, v []float64) string {
	_, m, _ := quartiles(v)
	return verdict(limit, m, m > limit, m > limit*(1+noise))
}

func atLeast(limit float64, v []float64) string {
	_, m, _ := quartiles(v)
	return verdict(limit, m, m < limit, m < limit*(1-noise))
}

func verdict(limit, got float64, beyond, missed bool) string {
	switch {
	case limit == 0 || got == 0:
		return ""
	case missed:
		return fmt.Sprintf("%.2f missed", limit)
	case beyond:
		return fmt.Sprintf("%.2f near", limit)
	}
	return fmt.Sprintf("%.2f", limit)
}
