//go:build unix

package main_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// watching is "postern kv watch" in a process of its own.
type watching struct {
	cmd   *exec.Cmd
	lines *bufio.Reader
}

func watch(t *testing.T, args ...string) *watching {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &watching{cmd: exec.Command(self, append([]string{"kv", "watch"}, args...)...)}
	w.cmd.Env = append(os.Environ(), "POSTERN_TEST_RUN=1")
	w.cmd.Stderr = os.Stderr
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.lines = bufio.NewReader(out)
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(time.Minute, func() { w.cmd.Process.Kill() })
	t.Cleanup(func() {
		watchdog.Stop()
		w.cmd.Process.Kill()
	})
	return w
}

func (w *watching) want(t *testing.T, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if got, err := w.lines.ReadString('\n'); got != want+"\n" || err != nil {
			t.Fatalf("%q, %v, want %s", got, err, want)
		}
	}
}

func TestKVWatch(t *testing.T) {
	db := filepath.Join(t.TempDir(), "my.db")
	server := start(t, "--addr", "127.0.0.1:0", "--quiet", "--db", db)
	put := func(key, value string) { call(t, "PUT", server.url+"/kv/default/"+key, value) }
	put("a%2F1", "<old>")
	put("b", "old")
	all, some := watch(t, "--db", db), watch(t, "--db", db, "--table", "DEFAULT", "a/")
	all.want(t, `{"key":"a/1","value":"<old>","counter":0}`, `{"key":"b","value":"old","counter":0}`)
	some.want(t, `{"key":"a/1","value":"<old>","counter":0}`)
	put("%FF", "%00\xff")
	all.want(t, `{"key_base64":"/w==","value_base64":"JTAw/w==","counter":0}`)
	call(t, "DELETE", server.url+"/kv/default/%FF", "")
	all.want(t, `{"key_base64":"/w==","deleted":true}`)
	call(t, "DELETE", server.url+"/kv/default/b", "")
	all.want(t, `{"key":"b","deleted":true}`)
	put("a%2F1?expires_at=2100-01-02T03:04:05Z", "new")
	changed := `{"key":"a/1","value":"new","counter":1,"expires_at":"2100-01-02T03:04:05Z"}`
	all.want(t, changed)
	some.want(t, changed)

	// It goes on when the server has ended, and sees who comes after it.
	if status := server.stop(); status != 0 {
		t.Fatal(status)
	}
	if got := run(t, "", "kv", "put", "b", "again", "--db", db); got != (result{}) {
		t.Fatal(got)
	}
	all.want(t, `{"key":"b","value":"again","counter":1}`)

	for w, signal := range map[*watching]os.Signal{all: os.Interrupt, some: syscall.SIGTERM} {
		if err := w.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if rest, err := w.lines.ReadString('\n'); rest != "" || err == nil {
			t.Errorf("%v: %q, %v", signal, rest, err)
		}
		if state := exitOf(t, w.cmd); state.ExitCode() != 0 {
			t.Errorf("%v: %v", signal, state)
		}
	}
}

func TestKVWatchRefuses(t *testing.T) {
	dir := t.TempDir()
	db, text := filepath.Join(dir, "my.db"), filepath.Join(dir, "text")
	if got := run(t, "", "kv", "put", "k", "v", "--create", "--db", db); got != (result{}) {
		t.Fatal(got)
	}
	if err := os.WriteFile(text, []byte(strings.Repeat("no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ db, table, want string }{
		{db, "typo", fmt.Sprintf(`kv watch: kvstore: follow %q: table "typo": table not declared; there are: default`, db)},
		{db + "x", "default", "kv watch: no file " + db + "x"},
		{text, "default", fmt.Sprintf("kv watch: kvstore: follow %q: ", text)},
	} {
		got := run(t, "", "kv", "watch", "--db", tt.db, "--table", tt.table)
		if got.status != 1 || got.stdout != "" || !strings.HasPrefix(got.stderr, "postern: "+tt.want) {
			t.Errorf("%s %s:\n got %+v\nwant %s", tt.db, tt.table, got, tt.want)
		}
	}
}
