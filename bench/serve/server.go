//go:build linux

package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"postern/bench/serve/peer"
	"postern/transport/tls"
)

// server is one that is measured.
type server struct {
	name   string
	source string // its package; "": it has to be installed
	args   func(place, addr string, w *workload) ([]string, error)
	only   func(w *workload) bool // the workloads it can do; nil: all
}

var servers = []server{
	{name: "postern", source: "postern/examples/echo", args: goArgs},
	{name: "nginx", args: nginxArgs, only: func(w *workload) bool { return w.echo == 0 }},
	{name: "fasthttp", source: "postern/bench/serve/fasthttp", args: goArgs},
	{name: "nethttp", source: "postern/bench/serve/nethttp", args: goArgs},
	{name: "epoll", source: "postern/bench/serve/epoll", args: epollArgs, only: func(w *workload) bool { return !w.tls }},
}

// build makes programs in place. One that cannot be made is noted.
func build(place string, list []server) {
	for _, s := range list {
		if s.source != "" {
			out, err := exec.Command("go", "build", "-o", place+"/", s.source).CombinedOutput()
			if err != nil {
				note("%s is left out: %v\n%s", s.name, err, out)
			}
		}
	}
}

// program is where a server's is.
func (s *server) program(place string) string {
	if s.source != "" {
		return filepath.Join(place, filepath.Base(s.source))
	}
	if found, err := exec.LookPath(s.name); err == nil {
		return found
	}
	return "/usr/sbin/" + s.name
}

// built are those of the servers whose programs are there.
func built(place string) (have []server) {
	for _, s := range wanted() {
		if _, err := os.Stat(s.program(place)); err != nil {
			note("%s is left out: %v", s.name, err)
			continue
		}
		have = append(have, s)
	}
	return have
}

// saveCertificate makes a certificate, and files of it in place.
func saveCertificate(place string) error {
	cert, err := tls.SelfSigned("localhost")
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(place+"/cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600),
		os.WriteFile(place+"/key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
}

func goArgs(place, addr string, w *workload) ([]string, error) {
	args := []string{"-addr", addr}
	if w.unix {
		args[0] = "-unix"
	}
	if w.tls {
		args = append(args, "-tls-cert", place+"/cert.pem", "-tls-key", place+"/key.pem")
	}
	return args, nil
}

func epollArgs(place, addr string, w *workload) ([]string, error) {
	args, err := goArgs(place, addr, w)
	return append(args, "-path", w.path, "-echo", fmt.Sprint(w.echo), fmt.Sprintf("-close=%t", w.close)), err
}

// nginxArgs makes a folder for nginx, which answers with fixed bytes, and with 12 KiB
// from a file that it caches.
func nginxArgs(place, addr string, w *workload) ([]string, error) {
	dir, err := os.MkdirTemp(place, "nginx")
	if err != nil {
		return nil, err
	}
	listen, workers := addr+" reuseport backlog=4096", 1
	if w.unix {
		listen = "unix:" + addr + " backlog=4096"
	}
	if w.tls {
		listen = fmt.Sprintf("%s ssl backlog=4096; ssl_protocols TLSv1.3; ssl_certificate %s/cert.pem; ssl_certificate_key %[2]s/key.pem", addr, place)
	}
	if w.free {
		workers = 2
	}
	config := fmt.Sprintf(`worker_processes %d; daemon off; pid %[2]s/pid; error_log stderr crit;
worker_rlimit_nofile 20000;
events { worker_connections 16384; multi_accept on; }
http {
  access_log off; default_type text/plain;
  keepalive_requests 1000000000; keepalive_timeout 300s;
  sendfile on; tcp_nopush on; open_file_cache max=100 inactive=1h; open_file_cache_valid 1h;
  client_body_temp_path %[2]s/a; proxy_temp_path %[2]s/b; fastcgi_temp_path %[2]s/c; uwsgi_temp_path %[2]s/d; scgi_temp_path %[2]s/e;
  server {
    listen %[3]s;
    location = / { return 200 "%[4]s"; }
    location = /500 { return 200 "%[5]s"; }
    location = /12k { root %[2]s; }
  }
}
`, workers, dir, listen, peer.Hello, peer.Half)
	err = errors.Join(os.Chmod(dir, 0o755), // its worker is another user
		os.WriteFile(dir+"/12k", peer.Twelve, 0o644),
		os.WriteFile(dir+"/conf", []byte(config), 0o644))
	return []string{"-p", dir, "-c", dir + "/conf", "-e", "stderr"}, err
}

// process is a server that runs.
type process struct {
	*target
	pids []int
	cmd  *exec.Cmd
	addr string
	done chan struct{}
}

// start runs a server on these processors until stop, and waits until it answers the
// workload's request as it should. What fails is noted, and nil returned.
func (s *server) start(place string, w *workload, on ...int) *process {
	p, err := s.try(place, w, on)
	if err != nil {
		note("%s: %s is left out: %v", w.name, s.name, err)
		return nil
	}
	return p
}

func (s *server) try(place string, w *workload, on []int) (*process, error) {
	addr := filepath.Join(place, s.name+".sock")
	if !w.unix {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		addr = ln.Addr().String()
		ln.Close()
	}
	args, err := s.args(place, addr, w)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(s.program(place), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	// A group of its own, so that nginx's children end with it; and it ends with us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := startOn(cmd, on); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, addr: addr, done: make(chan struct{})}
	go func() { // ends with the process
		cmd.Wait()
		close(p.done)
	}()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if p.target, err = newTarget(s.name, addr, w); err == nil {
			p.pids = family(cmd.Process.Pid)
			return p, nil
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("it has ended: %.300s", stderr.String())
		default:
		}
		if time.Since(begin) > 5*time.Second {
			p.stop()
			return nil, fmt.Errorf("%w: %.300s", err, stderr.String())
		}
	}
}

// stop ends the process and the connections to it.
func (p *process) stop() {
	if p.target != nil {
		p.target.close()
	}
	group := -p.cmd.Process.Pid
	syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(2 * time.Second):
		syscall.Kill(group, syscall.SIGKILL)
		<-p.done
	}
	os.Remove(p.addr)
}
