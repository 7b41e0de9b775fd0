//go:build linux

package main_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// It measures, and what it measures is not looked at: the machine may be busy.
func TestServe(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	program := filepath.Join(t.TempDir(), "serve")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(ctx, program, "-only", "^(hello|tls)$", "-peers", "nethttp|fasthttp|epoll", "-time", "500ms", "-rounds", "1").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		`(?m)^hello: 13 bytes, 64 connections; `,
		`(?m)^postern +[1-9]\d* +\d+\.\d\d +`,
		`(?m)^fasthttp +[1-9]\d* .* 0\.82`, // its goal
		`(?m)^nethttp +[1-9]\d* .* \d+\.\d\d \(`,
		`(?m)^epoll +[1-9]\d* `,
		`(?s)\ntls: .*\npostern +[1-9]\d* .*\nnethttp +[1-9]\d* `,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("no match for %s", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
