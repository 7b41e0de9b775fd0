package kvstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"postern/kvstore"
)

// childHold opens the store and keeps it until its standard input ends.
func childHold(path string) {
	s, err := kvstore.Open(path, options())
	if err == nil {
		_, err = s.Add(context.Background(), "t", "held", []byte("v"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print("open")
	io.Copy(io.Discard, os.Stdin)
	s.Close(context.Background())
}

// childWriters is how many goroutines of childWrite write at once, and childKept how
// many of its latest steps each of them leaves in the store.
const (
	childWriters = 6
	childKept    = 8
)

// childWrite goes on from what the store holds, for ever. Step n of writer w makes w's
// entry n, adds the entry w.n and deletes w.(n-childKept), all of it in both tables. It
// prints what it has found, and each step that was answered.
func childWrite(path string) {
	o := options()
	o.CheckpointPages = 30 // the log starts over every few steps
	o.MaxViewAge = -1
	s, err := kvstore.Open(path, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx := context.Background()
	steps, err := kvstore.View(ctx, s, crashState)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("open")
	failed := make(chan error)
	for w := range childWriters {
		go func() {
			for n := steps[w] + 1; ; n++ {
				if err := s.Execute(ctx, func(tx *kvstore.Tx) error { return crashStep(tx, w, n) }); err != nil {
					failed <- err
					return
				}
				fmt.Println(w, n) // one write call, so lines stay whole
			}
		}()
	}
	go func() { // whose snapshots checkpoints have to get past
		for {
			if _, err := kvstore.View(ctx, s, crashState); err != nil {
				failed <- err
				return
			}
		}
	}()
	fmt.Fprintln(os.Stderr, <-failed)
	os.Exit(1)
}

func crashStep(tx *kvstore.Tx, w, n int) error {
	text := []byte(strconv.Itoa(n))
	for _, table := range []string{"t", "other"} {
		if _, err := tx.Overwrite(table, strconv.Itoa(w), text); err != nil {
			return err
		}
		if _, err := tx.Add(table, fmt.Sprintf("%d.%d", w, n), text); err != nil {
			return err
		}
		if _, err := tx.Delete(table, fmt.Sprintf("%d.%d", w, n-childKept)); err != nil {
			return err
		}
	}
	return nil
}

// crashState returns the last step of each writer, and an error if the store holds
// anything else than whole steps.
func crashState(tx *kvstore.ReadTx) (steps [childWriters]int, err error) {
	var wanted, counters []string
	for w := range steps {
		e, found, err := tx.Get("t", strconv.Itoa(w))
		if err != nil {
			return steps, err
		}
		if !found {
			continue
		}
		n, err := strconv.Atoi(string(e.Value))
		if err != nil {
			return steps, err
		}
		steps[w] = n
		wanted = append(wanted, fmt.Sprintf("%d=%d", w, n))
		for k := max(1, n-childKept+1); k <= n; k++ {
			wanted = append(wanted, fmt.Sprintf("%d.%d=%d", w, k, k))
		}
	}
	slices.Sort(wanted)
	for _, table := range []string{"t", "other"} {
		var got, numbers []string
		for e, err := range tx.Entries(table, kvstore.Range{}) {
			if err != nil {
				return steps, err
			}
			got = append(got, fmt.Sprintf("%s=%s", e.Key, e.Value))
			numbers = append(numbers, fmt.Sprint(e.Counter))
		}
		slices.Sort(got)
		if !slices.Equal(got, wanted) {
			return steps, fmt.Errorf("table %s holds %q, want whole steps: %q", table, got, wanted)
		}
		if counters == nil {
			counters = numbers
		} else if !slices.Equal(counters, numbers) {
			return steps, fmt.Errorf("counters differ: %v and %v", counters, numbers)
		}
	}
	return steps, nil
}

// A process that is killed loses nothing that it was answered, and leaves no half of a
// procedure, however often and whenever, also while it recovers from the last time.
func TestKill(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "store.db")
	seed := time.Now().UnixNano()
	rng := rand.New(rand.NewPCG(uint64(seed), 0))
	var answered [childWriters]int // last step of each
	total, beforeOpen := 0, 0
	for round := range rounds {
		ctx, stop := context.WithTimeout(t.Context(), patience)
		n, opened := killOne(t, ctx, path, rng, &answered)
		total += n
		if !opened {
			beforeOpen++
		}
		// The file itself is left as the kill left it, for the next process to recover.
		image := filepath.Join(folder, "image.db")
		copyStore(t, path, image)
		s, err := kvstore.Open(image, options())
		if err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
		steps, err := kvstore.View(ctx, s, crashState)
		if err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
		for w, n := range answered {
			// At most one step of each writer was on its way when the kill came, and the
			// answers to a few may have been on theirs to us.
			if steps[w] < n {
				t.Errorf("seed %d, round %d: writer %d was answered step %d and has %d", seed, round, w, n, steps[w])
			}
		}
		if bad, err := s.Number(ctx, `SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'`); bad != 0 || err != nil {
			t.Errorf("seed %d, round %d: integrity check finds %d faults, %v", seed, round, bad, err)
		}
		if err := s.Close(ctx); err != nil {
			t.Fatal(err)
		}
		stop()
	}
	t.Logf("%d kills, %d of them before the store was open; %d steps answered, none lost", rounds, beforeOpen, total)
	if total < rounds*20 {
		t.Errorf("only %d answers: the test proves little", total)
	}
}

// killOne runs childWrite, notes what it says and kills it: mostly at some answer, or
// else at some moment in its first milliseconds, when it may be in recovery.
func killOne(t *testing.T, ctx context.Context, path string, rng *rand.Rand, answered *[childWriters]int) (answers int, opened bool) {
	t.Helper()
	cmd := child(t, "write", path)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer context.AfterFunc(ctx, func() { cmd.Process.Kill() })()
	last := 1 + rng.IntN(300)
	if rng.IntN(4) == 0 {
		early := time.AfterFunc(time.Duration(rng.IntN(12_000))*time.Microsecond, func() { cmd.Process.Kill() })
		defer early.Stop()
	}
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a line without an end was not printed whole
		}
		if line == "open\n" {
			opened = true
			continue
		}
		var w, n int
		if _, err := fmt.Sscan(line, &w, &n); err != nil || n <= answered[w] {
			t.Fatalf("child says %q after step %d: %v", line, answered[w], err)
		}
		answered[w] = n
		if answers++; answers == last {
			cmd.Process.Kill()
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("child was not killed: %v", err)
	}
	return answers, opened
}

// copyStore copies a store that nobody has open, with the log that a crash left.
func copyStore(t *testing.T, from, to string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(from + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			err = os.RemoveAll(to + suffix)
		} else if err == nil {
			err = os.WriteFile(to+suffix, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
