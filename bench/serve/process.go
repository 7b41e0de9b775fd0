//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cores returns the first two processors that we may use, or twice the same.
func cores() (server, client int) {
	var set unix.CPUSet
	found := []int{}
	if unix.SchedGetaffinity(os.Getpid(), &set) == nil {
		for i := 0; i < 1024 && len(found) < 2; i++ {
			if set.IsSet(i) {
				found = append(found, i)
			}
		}
	}
	if len(found) < 2 {
		return 0, 0
	}
	return found[0], found[1]
}

func cpuSet(cores ...int) *unix.CPUSet {
	set := new(unix.CPUSet)
	for _, c := range cores {
		set.Set(c)
	}
	return set
}

// pinSelf keeps all of our threads, and those that they will start, on these
// processors.
func pinSelf(cores ...int) {
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, t := range tasks {
		if tid, err := strconv.Atoi(t.Name()); err == nil {
			unix.SchedSetaffinity(tid, cpuSet(cores...)) // fails if it has ended
		}
	}
}

// startOn starts a process on these processors: it inherits them from the thread.
func startOn(cmd *exec.Cmd, cores []int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var ours unix.CPUSet
	if err := unix.SchedGetaffinity(0, &ours); err != nil {
		return err
	}
	defer unix.SchedSetaffinity(0, &ours)
	if err := unix.SchedSetaffinity(0, cpuSet(cores...)); err != nil {
		return err
	}
	return cmd.Start()
}

// family returns a process and its children: nginx works in those.
func family(pid int) []int {
	all := []int{pid}
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, f := range strings.Fields(string(b)) {
		if child, err := strconv.Atoi(f); err == nil {
			all = append(all, child)
		}
	}
	return all
}

// cpuTime is how long the threads of these processes have been on a processor.
func cpuTime(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, file := range files {
			sum += schedule(file, 0)
		}
	}
	return sum
}

// waitTime is how long the calling thread could have run while others had its
// processor.
func waitTime() time.Duration { return schedule("/proc/thread-self/schedstat", 1) }

func schedule(file string, field int) time.Duration {
	b, _ := os.ReadFile(file)
	if f := strings.Fields(string(b)); len(f) > field {
		n, _ := strconv.ParseInt(f[field], 10, 64)
		return time.Duration(n)
	}
	return 0
}

// tick is the unit of times in /proc/PID/stat and /proc/stat.
const tick = 10 * time.Millisecond

// userTime splits the time of processes as the kernel's ticks saw it: in steps of 10
// ms, so that only sums over seconds mean something.
func userTime(pids []int) (user, all time.Duration) {
	for _, pid := range pids {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(f) < 13 {
			continue
		}
		u, _ := strconv.Atoi(f[11])
		s, _ := strconv.Atoi(f[12])
		user += time.Duration(u) * tick
		all += time.Duration(u+s) * tick
	}
	return user, all
}

// machineTime is how long all processors have been busy.
func machineTime() (sum time.Duration) {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	f := strings.Fields(line)
	for _, i := range []int{1, 2, 3, 6, 7} { // user, nice, system, irq, softirq
		if i < len(f) {
			n, _ := strconv.Atoi(f[i])
			sum += time.Duration(n) * tick
		}
	}
	return sum
}

// selfTime is the CPU time of this process.
func selfTime() time.Duration { return cpuTime([]int{os.Getpid()}) }

// pss is the memory of processes, in bytes; a page that several share counts in parts.
func pss(pids []int) (sum int) {
	for _, pid := range pids {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if _, rest, found := strings.Cut(string(b), "\nPss:"); found {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			sum += n << 10
		}
	}
	return sum
}

// loadAverage is that of the last minute.
func loadAverage() string {
	b, _ := os.ReadFile("/proc/loadavg")
	load, _, _ := strings.Cut(string(b), " ")
	return load
}

// congestion names what TCP uses. bbr would pace with timers, even on loopback.
func congestion() string {
	b, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	return strings.TrimSpace(string(b))
}

// loopbackOfOurOwn brings the loopback device of a new network namespace up, and has
// TCP there use reno.
func loopbackOfOurOwn() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return err
	}
	return os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte("reno"), 0)
}
