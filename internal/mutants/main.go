// Mutants weakens h1 one line at a time and runs its tests on each: a weakening
// that no test notices is a rule that nobody holds. It changes no file.
//
//	go run ./internal/mutants [-v] [-from N] [-every N]
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// mutant is one weakening: in file, old is replaced by new.
type mutant struct {
	file, old, new string
	equal          string // why no test can notice it; "": one must
}

func main() {
	verbose := flag.Bool("v", false, "name those that are noticed too")
	from := flag.Int("from", 1, "begin with this one, counted from the first")
	every := flag.Int("every", 1, "try only one of so many")
	flag.Parse()
	if out, err := test(""); err != nil {
		fatal(fmt.Errorf("the tests fail without a mutant: %s", out))
	}
	tried, survivors, stale := 0, 0, 0
	for r := range tryAll(*from-1, max(*every, 1)) {
		m := mutants[r.index]
		tried++
		switch {
		case r.err != nil:
			stale++
			fmt.Printf("stale: mutant %d: %s: %q: %v\n", r.index+1, m.file, m.old, r.err)
		case !r.noticed && m.equal == "":
			survivors++
			fmt.Printf("survived: %s: %q became %q\n", m.file, m.old, m.new)
		case r.noticed && m.equal != "":
			stale++
			fmt.Printf("stale: mutant %d: %s: %q is noticed, though it is said to change nothing\n", r.index+1, m.file, m.old)
		case *verbose:
			fmt.Printf("noticed: %s: %q became %q\n", m.file, m.old, m.new)
		}
	}
	fmt.Printf("mutants: %d tried, %d survived, %d stale\n", tried, survivors, stale)
	if survivors+stale > 0 {
		os.Exit(1)
	}
}

// result is what became of a mutant.
type result struct {
	index   int
	noticed bool
	err     error
}

// tryAll tries one of every so many mutants from the first on, as many at a time as
// there are processors.
func tryAll(first, every int) <-chan result {
	results, next := make(chan result), int64(first-every)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			dir, err := os.MkdirTemp("", "mutants")
			if err != nil {
				fatal(err)
			}
			defer os.RemoveAll(dir)
			for {
				i := int(atomic.AddInt64(&next, int64(every)))
				if i >= len(mutants) {
					return
				}
				noticed, err := try(dir, mutants[i])
				results <- result{i, noticed, err}
			}
		})
	}
	go func() { // ends with the workers
		workers.Wait()
		close(results)
	}()
	return results
}

// try reports whether the tests notice the mutant.
func try(dir string, m mutant) (bool, error) {
	path, err := filepath.Abs(filepath.Join("h1", m.file))
	if err != nil {
		return false, err
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	if n := bytes.Count(src, []byte(m.old)); n != 1 {
		return false, fmt.Errorf("stands %d times in the file, not once", n)
	}
	mutated := filepath.Join(dir, m.file)
	if err := os.WriteFile(mutated, bytes.Replace(src, []byte(m.old), []byte(m.new), 1), 0o600); err != nil {
		return false, err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: mutated}})
	if err != nil {
		return false, err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return false, err
	}
	if out, err := exec.Command("go", "build", "-overlay", file, "./h1").CombinedOutput(); err != nil {
		return false, fmt.Errorf("does not compile: %s", out)
	}
	out, err := test(file)
	if strings.Contains(string(out), "build failed") {
		return false, fmt.Errorf("does not compile: %s", out)
	}
	return err != nil, nil
}

// test runs the tests that should notice, with an overlay, and returns what the
// first that failed printed.
func test(overlay string) (out []byte, err error) {
	args := []string{"test", "-overlay", overlay, "-count=1", "-timeout", (60 * time.Second).String(),
		"-run", "^(Test|Example|FuzzServer|FuzzClient|FuzzDiff)"}
	out, err = exec.Command("go", append(args, "./h1", "-rapid.nofailfile")...).CombinedOutput()
	if err == nil {
		out, err = exec.Command("go", append(args, "./fuzz")...).CombinedOutput()
	}
	return out, err
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "mutants:", err)
	os.Exit(2)
}
