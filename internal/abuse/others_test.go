package abuse

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// disturbance is the part of the processors' time that others may have had, at most,
// for a latency to say something of the server.
const disturbance = 0.1

// others tells, by what idleTime and ownTime were when it began, which part of the
// processors' time these processes have not had and not left.
func others(pids []int, began time.Time, idle, own time.Duration) float64 {
	all := time.Since(began) * time.Duration(runtime.NumCPU())
	return 1 - float64(idleTime()-idle+ownTime(pids)-own)/float64(all)
}

// tick is the unit of times in /proc.
const tick = 10 * time.Millisecond

// idleTime is how long all processors together had nothing to do. What they did is
// counted less exactly.
func idleTime() time.Duration {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	return ticks(strings.Fields(line), 4, 5) // idle, waiting for disks
}

// ownTime is how long these processes have used them.
func ownTime(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, rest, _ := strings.Cut(string(b), ") ")
		sum += ticks(strings.Fields(rest), 11, 12) // user, system
	}
	return sum
}

func ticks(fields []string, which ...int) (sum time.Duration) {
	for _, i := range which {
		if i < len(fields) {
			n, _ := strconv.Atoi(fields[i])
			sum += time.Duration(n) * tick
		}
	}
	return sum
}
