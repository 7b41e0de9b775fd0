//go:build unix && !aix && !solaris

package inherit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/transport/inherit"
	"postern/transport/memory"
	"postern/transport/tcp"
	"postern/transport/unix"
)

// TestMain makes the test binary the process that inherits, if it is told so.
func TestMain(m *testing.M) {
	switch os.Getenv("INHERIT_TEST") {
	case "":
		m.Run()
		return
	case "fail":
		os.Exit(3)
	case "leave":
		return
	case "silent":
		fmt.Println("started")
		time.Sleep(time.Hour)
	case "serve":
		if err := serve(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
}

// serve says what was inherited, then that it is ready, and answers each connection of
// the last socket with its name.
func serve() error {
	in, err := inherit.Receive()
	if err != nil {
		return err
	}
	for i, s := range in.Sockets {
		fmt.Printf("%d %q %v\n", i, s.Name, s.Listener.Addr())
	}
	fmt.Println("from", in.From)
	if again, err := inherit.Receive(); len(again.Sockets) > 0 || err != nil {
		return fmt.Errorf("the second Receive: %v, %v", again, err)
	}
	// A child has neither the variables nor the descriptors.
	out, err := exec.Command("sh", "-c", "env | grep -E '^LISTEN_|^POSTERN_HANDOVER'; ls /dev/fd/3 /dev/fd/4 2>/dev/null").Output()
	if len(out) > 0 {
		return fmt.Errorf("a child sees %q, %v", out, err)
	}
	if err := in.Ready(); err != nil {
		return err
	}
	if err := in.Ready(); err != nil {
		return err
	}
	if len(in.Sockets) == 0 {
		return nil
	}
	last := in.Sockets[len(in.Sockets)-1]
	for {
		conn, err := last.Listener.Accept()
		if err != nil {
			return err
		}
		fmt.Fprintf(conn, "%s of %d", last.Name, os.Getpid())
		conn.Close()
	}
}

// A child is this binary in one of its roles, with what it prints.
type child struct {
	*exec.Cmd
	lines *bufio.Scanner
}

func role(t *testing.T, name string) child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "INHERIT_TEST="+name)
	cmd.Stdout, cmd.Stderr = w, os.Stderr
	r.SetReadDeadline(time.Now().Add(time.Minute))
	t.Cleanup(func() {
		if cmd.Process != nil && cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
		r.Close()
		w.Close()
	})
	return child{cmd, bufio.NewScanner(r)}
}

// wantLine reads the next line that the child prints.
func (c child) wantLine(t *testing.T, want string) {
	t.Helper()
	if !c.lines.Scan() || c.lines.Text() != want {
		t.Fatalf("the child prints %q, %v, want %q", c.lines.Text(), c.lines.Err(), want)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// sockets are one of each kind.
func sockets(t *testing.T) []inherit.Socket {
	t.Helper()
	overTCP, err := tcp.Listen(tcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { overTCP.Close() })
	overUnix, err := unix.Listen(unix.Config{Path: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { overUnix.Close() })
	return []inherit.Socket{{"web", overTCP}, {"", overUnix}}
}

func wantAnswer(t *testing.T, addr net.Addr, want string) {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if got, err := io.ReadAll(conn); string(got) != want || err != nil {
		t.Errorf("answer from %v is %q, %v, want %q", addr, got, err, want)
	}
}

// A connection that waits when the first process stops listening is answered by the
// second, and so are those that come later.
func TestHandover(t *testing.T) {
	t.Setenv("LISTEN_PID", "1") // another's
	t.Setenv("POSTERN_HANDOVER", "1:2")
	for _, last := range []string{"tcp", "unix"} {
		passed := sockets(t)
		if last == "tcp" {
			passed[0], passed[1] = passed[1], passed[0]
		}
		final := passed[1].Listener
		cmd := role(t, "serve")
		pid, err := inherit.Handover(within(t, time.Minute), cmd.Cmd, passed)
		if err != nil {
			t.Fatal(err)
		}
		if pid != cmd.Process.Pid {
			t.Errorf("process %d, want %d", pid, cmd.Process.Pid)
		}
		for i, s := range passed {
			cmd.wantLine(t, fmt.Sprintf("%d %q %v", i, s.Name, s.Listener.Addr()))
		}
		cmd.wantLine(t, fmt.Sprint("from ", os.Getpid()))
		for _, s := range passed {
			if err := s.Listener.Close(); err != nil {
				t.Error(err)
			}
		}
		for range 3 {
			wantAnswer(t, final.Addr(), fmt.Sprintf("%s of %d", passed[1].Name, pid))
		}
	}
}

// A process that fails changes nothing.
func TestHandoverFails(t *testing.T) {
	passed := sockets(t)
	for name, want := range map[string]string{
		"fail":  " was not ready: exit status 3",
		"leave": " was not ready: exit status 0",
	} {
		cmd := role(t, name)
		pid, err := inherit.Handover(within(t, time.Minute), cmd.Cmd, passed)
		if pid != 0 || err == nil || !strings.HasPrefix(err.Error(), "inherit: hand-over to "+cmd.Path+": process ") || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %d, %v", name, pid, err)
		}
	}
	cmd := role(t, "silent")
	ctx, cancel := context.WithCancelCause(t.Context())
	late := errors.New("took too long")
	go func() { // ends with the child's first line
		cmd.lines.Scan()
		cancel(late)
	}()
	if pid, err := inherit.Handover(ctx, cmd.Cmd, passed); pid != 0 || !errors.Is(err, late) {
		t.Errorf("silent: %d, %v", pid, err)
	}
	if cmd.ProcessState == nil {
		t.Error("the silent process was not ended")
	}
	for _, tt := range []struct {
		change func(*exec.Cmd, *inherit.Socket)
		want   string
	}{
		{func(c *exec.Cmd, s *inherit.Socket) { c.Path = "/nowhere"; c.Args = []string{"/nowhere"} }, "/nowhere"},
		{func(c *exec.Cmd, s *inherit.Socket) { c.ExtraFiles = []*os.File{os.Stdin} }, "1 ExtraFiles"},
		{func(c *exec.Cmd, s *inherit.Socket) { s.Name = "a:b" }, `"a:b" of a socket cannot be passed`},
		{func(c *exec.Cmd, s *inherit.Socket) { s.Listener = memory.Listen(memory.Config{}) }, `socket 0, "web": a *memory.Listener has no descriptor`},
	} {
		cmd, wrong := role(t, "serve"), passed[0]
		tt.change(cmd.Cmd, &wrong)
		if pid, err := inherit.Handover(t.Context(), cmd.Cmd, []inherit.Socket{wrong}); pid != 0 || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d, %v, want an error with %q", pid, err, tt.want)
		}
	}
	// All of them still listen, in a way that does not block, and Close removes the file.
	for _, s := range passed {
		go func() { // ends with the connection
			if conn, err := s.Listener.Accept(); err == nil {
				io.WriteString(conn, "still here")
				conn.Close()
			}
		}()
		wantAnswer(t, s.Listener.Addr(), "still here")
		done := make(chan error, 1)
		go func() { _, err := s.Listener.Accept(); done <- err }()
		if err := s.Listener.Close(); err != nil {
			t.Error(err)
		}
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatal("Accept blocks")
		}
	}
	if path := passed[1].Listener.Addr().String(); exists(path) {
		t.Errorf("%s is still there", path)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// file is the descriptor of a listener of package net.
func file(t *testing.T, of interface{ File() (*os.File, error) }) *os.File {
	t.Helper()
	f, err := of.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// As systemd starts it: the sockets may block, and LISTEN_PID is the process itself.
func TestActivation(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	listening, connected := file(t, ln.(*net.TCPListener)), file(t, conn.(*net.TCPConn))
	listening.Fd() // makes it block
	for _, tt := range []struct {
		name, pid, vars string
		files           []*os.File
		want            string
	}{
		{"one", "$$", "LISTEN_FDS=1 LISTEN_FDNAMES=web.socket", []*os.File{listening}, fmt.Sprintf("0 %q %v", "web.socket", ln.Addr())},
		{"no name", "$$", "LISTEN_FDS=1", []*os.File{listening}, fmt.Sprintf("0 %q %v", "", ln.Addr())},
		{"another's", "1", "LISTEN_FDS=1", nil, "from 0"},
		{"without a process", "", "LISTEN_FDS=1", nil, "from 0"},
		{"none", "$$", "LISTEN_FDS=0", nil, "from 0"},
		{"no number", "$$", "LISTEN_FDS=x", nil, `inherit: LISTEN_FDS="x" is no number`},
		{"fewer names", "$$", "LISTEN_FDS=2 LISTEN_FDNAMES=a", []*os.File{listening}, "inherit: LISTEN_FDNAMES has 1 names for 2 sockets"},
		{"a connection", "$$", "LISTEN_FDS=2 LISTEN_FDNAMES=a:b", []*os.File{listening, connected}, `inherit: descriptor 4, "b": does not listen`},
		{"no descriptor", "$$", "LISTEN_FDS=1000000", nil, "inherit: descriptor 3: is no socket"},
		{"no such descriptor", "$$", "LISTEN_FDS=1 POSTERN_HANDOVER=" + strconv.Itoa(os.Getpid()) + ":99", nil, "inherit: descriptor 99: bad file descriptor"},
		{"not a child", "$$", "LISTEN_FDS=1 POSTERN_HANDOVER=1:4", []*os.File{listening}, fmt.Sprintf("inherit: process 1 hands over to a child of its own, and this one's parent is process %d", os.Getpid())},
		{"nonsense", "$$", "LISTEN_FDS=1 POSTERN_HANDOVER=1", []*os.File{listening}, `inherit: POSTERN_HANDOVER="1": the form is PPID:FD`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := role(t, "serve")
			script := tt.vars + " LISTEN_PID=" + tt.pid + ` exec "$0"`
			cmd.Args = []string{"sh", "-c", script, cmd.Path}
			cmd.Path = "/bin/sh"
			cmd.ExtraFiles = tt.files
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			cmd.wantLine(t, tt.want)
			if strings.HasPrefix(tt.want, "0 ") {
				cmd.wantLine(t, "from 0")
				name, _, _ := strings.Cut(strings.TrimPrefix(tt.want, `0 "`), `"`)
				wantAnswer(t, ln.Addr(), fmt.Sprintf("%s of %d", name, cmd.Process.Pid))
			}
		})
	}
}

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if told, err := inherit.Notify("READY=1"); told || err != nil {
		t.Errorf("with nobody to tell: %v, %v", told, err)
	}
	path := filepath.Join(t.TempDir(), "notify")
	t.Setenv("NOTIFY_SOCKET", path)
	if told, err := inherit.Notify("READY=1"); told || err == nil {
		t.Errorf("with nobody there: %v, %v", told, err)
	}
	t.Setenv("NOTIFY_SOCKET", "vsock:2:1")
	if told, err := inherit.Notify("READY=1"); told || err == nil || !strings.Contains(err.Error(), "no Unix socket") {
		t.Errorf("elsewhere: %v, %v", told, err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	if err := new(inherit.Inheritance).Ready(); err != nil {
		t.Error(err)
	}
	if told, err := inherit.Notify("STOPPING=1"); !told || err != nil {
		t.Errorf("Notify: %v, %v", told, err)
	}
	manager.SetReadDeadline(time.Now().Add(10 * time.Second))
	for _, want := range []string{"READY=1", "STOPPING=1"} {
		b := make([]byte, 100)
		n, err := manager.Read(b)
		if string(b[:n]) != want || err != nil {
			t.Errorf("the manager reads %q, %v, want %q", b[:n], err, want)
		}
	}
}
