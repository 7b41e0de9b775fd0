//go:build linux

// Serve measures postern's server beside its peers. For each workload all servers run
// at once, each a process of its own on one processor, and a client on another gives
// them load in turn, for 0.2 s each, round and round in changing order. What disturbs
// the machine disturbs all: the ratios are taken within a cycle, and their medians and
// quartiles printed, beside the goals. CPU time is the figure to trust; the requests a
// second say as much about the client.
//
//	go run ./serve [-time 2s] [-rounds 2] [-only REGEXP] [-peers REGEXP] [-list]
//
// Postern is examples/echo; nginx is measured where it is installed, a peer that does
// not start is left out. As root it works in a network namespace of its own, with reno
// on loopback. A missed goal is no failure: the exit code is 0.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var (
	span   = flag.Duration("time", 2*time.Second, "how long each server is loaded in a round")
	rounds = flag.Int("rounds", 2, "rounds, each with servers started anew")
	only   = flag.String("only", "", "run only the workloads whose names match")
	peers  = flag.String("peers", "", "run only the peers whose names match")
	list   = flag.Bool("list", false, "print the workloads and the servers, and run nothing")
)

// The environment of the process that measures: the folder of the programs, and
// something if its network is its own.
const insideVar, networkVar = "POSTERN_BENCH_SERVE", "POSTERN_BENCH_NETWORK"

func main() {
	flag.Parse()
	inside := os.Getenv(insideVar)
	if inside == "" && !*list {
		if err := outside(); err != nil {
			note("%v", err)
		}
		return
	}
	works, err := regexp.Compile(*only)
	if err == nil {
		_, err = regexp.Compile(*peers)
	}
	if err != nil {
		note("%v", err)
		os.Exit(2)
	}
	if *list {
		for _, w := range workloads {
			fmt.Println(w.title())
		}
		fmt.Println(memoryTitle)
		for _, s := range wanted() {
			fmt.Println(s.name)
		}
		return
	}
	if os.Getenv(networkVar) != "" {
		if err := loopbackOfOurOwn(); err != nil {
			note("loopback: %v", err)
		}
	}
	conditions()
	have := built(inside)
	for i := range workloads {
		if w := &workloads[i]; works.MatchString(w.name) {
			if err := run(inside, w, have); err != nil {
				note("%s: %v", w.name, err)
			}
		}
	}
	if works.MatchString("memory") {
		memory(inside, have)
	}
	fmt.Printf("\nload average %s\n", loadAverage())
}

// outside builds the programs and starts this one again, in a network of its own if it
// may make one.
func outside() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	place, err := os.MkdirTemp("", "serve")
	if err != nil {
		return err
	}
	defer os.RemoveAll(place)
	if err := os.Chmod(place, 0o755); err != nil { // nginx's worker is another user
		return err
	}
	if err := saveCertificate(place); err != nil {
		return err
	}
	build(place, wanted())
	inside := func(network string, flags uintptr) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
		cmd.Env = append(os.Environ(), insideVar+"="+place, networkVar+"="+network)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		return cmd
	}
	cmd := inside("own", syscall.CLONE_NEWNET)
	if err := cmd.Start(); err != nil {
		note("in the network that is there: one of our own: %v", err)
		return inside("", 0).Run()
	}
	return cmd.Wait()
}

// wanted are postern and the peers that -peers asks for.
func wanted() (all []server) {
	match := regexp.MustCompile(*peers)
	for _, s := range servers {
		if s.name == "postern" || match.MatchString(s.name) {
			all = append(all, s)
		}
	}
	return all
}

// conditions prints where this is measured.
func conditions() {
	var u unix.Utsname
	unix.Uname(&u)
	fmt.Printf("%d processors, %s, Linux %s, TCP %s, load average %s\n",
		runtime.NumCPU(), runtime.Version(), unix.ByteSliceToString(u.Release[:]), congestion(), loadAverage())
}

// note says what is not in the tables, and why.
func note(format string, args ...any) { fmt.Fprintf(os.Stderr, "serve: "+format+"\n", args...) }
