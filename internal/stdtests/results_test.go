package stdtests

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// result is what came of a test.
type result struct {
	verdict string // "PASS", "FAIL" or "SKIP"; "" if the run ended without it
	skipped bool   // or a part of it
	log     strings.Builder
}

var (
	beginning = regexp.MustCompile(`^=== (?:RUN|CONT|NAME|PAUSE) +(Test\w+)`)
	ending    = regexp.MustCompile(`^( *)--- (PASS|FAIL|SKIP): (Test\w+)`)
)

// results runs some tests of a program in a folder and returns what each said, and
// all of it.
func results(t *testing.T, program, dir, over string, rows []row) (map[string]*result, string) {
	var names []string
	for _, r := range rows {
		names = append(names, r.test)
	}
	c := exec.Command(program, "-test.v", "-test.timeout=100s", "-test.run=^("+strings.Join(names, "|")+")$")
	c.Dir = dir
	c.Env = append(os.Environ(), "STDTESTS_OVER="+over)
	out, err := c.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		t.Fatal(err)
	}
	all := map[string]*result{}
	current := &result{}
	of := func(name string) *result {
		if all[name] == nil {
			all[name] = &result{}
		}
		return all[name]
	}
	for line := range strings.Lines(string(out)) {
		if m := beginning.FindStringSubmatch(line); m != nil {
			current = of(m[1])
			continue
		}
		if m := ending.FindStringSubmatch(line); m != nil {
			current = of(m[3])
			current.skipped = current.skipped || m[2] == "SKIP"
			if m[1] == "" {
				current.verdict = m[2]
			}
		}
		current.log.WriteString(line)
	}
	return all, string(out)
}
