package kvstore_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

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

// childWriters is how many goroutines of childWrite write at once.
const childWriters = 4

// childWrite writes pairs of keys for ever and prints each number that was
// answered.
func childWrite(path string) {
	o := options()
	o.CheckpointPages = 30 // so that some rounds end in the middle of a checkpoint
	s, err := kvstore.Open(path, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("open")
	failed := make(chan error)
	for w := range childWriters {
		go func() {
			for i := 0; ; i++ {
				n := fmt.Sprintf("%d.%d.%d", os.Getpid(), w, i)
				err := s.Execute(context.Background(), func(tx *kvstore.Tx) error {
					if _, err := tx.Add("t", n, []byte(n)); err != nil {
						return err
					}
					_, err := tx.Add("other", n, []byte(n))
					return err
				})
				if err != nil {
					failed <- err
					return
				}
				fmt.Println(n) // one write call, so lines stay whole
			}
		}()
	}
	fmt.Fprintln(os.Stderr, <-failed)
	os.Exit(1)
}

// A process that is killed loses nothing that it was answered, and leaves no
// half of a procedure.
func TestKill(t *testing.T) {
	const rounds = 5
	path := filepath.Join(t.TempDir(), "store.db")
	ctx := watchdog(t)
	answered := map[string]bool{}
	for round := range rounds {
		cmd := child(t, "write", path)
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
		lines := bufio.NewReader(stdout)
		line, err := lines.ReadString('\n')
		if line != "open\n" {
			t.Fatalf("round %d: child says %q, %v", round, line, err)
		}
		for seen := 0; ; seen++ {
			if seen == 100+37*round {
				cmd.Process.Kill()
			}
			line, err := lines.ReadString('\n')
			if err != nil {
				break // a line without an end was not printed whole
			}
			answered[strings.TrimSpace(line)] = true
		}
		stop()
		cmd.Wait()

		s := openPath(t, path, options())
		present := map[string]bool{}
		err = s.View(ctx, func(tx *kvstore.ReadTx) error {
			for e, err := range tx.Entries("t", kvstore.Range{}) {
				if err != nil {
					return err
				}
				if string(e.Value) != e.Key {
					t.Errorf("round %d: %s has the value %q", round, e.Key, e.Value)
				}
				present[e.Key] = true
			}
			others, err := tx.ListKeys("other")
			if err != nil {
				return err
			}
			for _, key := range others {
				if !present[key] {
					t.Errorf("round %d: %s is there by half", round, key)
				}
			}
			if len(others) != len(present) {
				t.Errorf("round %d: %d keys in one table, %d in the other", round, len(present), len(others))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for n := range answered {
			if !present[n] {
				t.Errorf("round %d: %s was answered and is lost", round, n)
			}
		}
		if bad, err := s.Number(ctx, `SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'`); bad != 0 || err != nil {
			t.Errorf("round %d: integrity check finds %d faults, %v", round, bad, err)
		}
		if err := s.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if len(answered) < rounds*100 {
		t.Errorf("only %d answers: the test proves little", len(answered))
	}
}
