// Client sends one request and writes the content of the response to its standard
// output:
//
//	go run ./examples/client http://127.0.0.1:8080/
//	go run ./examples/client -X PUT -d @file http://127.0.0.1:8080/kv/default/file
//	go run ./examples/client -v unix:/run/postern.sock:/
//
// It exits with 0 if a response came that is complete, whatever its status; with 1 if
// none did or it was broken off; and with 2 if the command makes no sense. There is
// no TLS here, so no https.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"postern/examples/internal/program"
)

func main() {
	program.Main("client", func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		return run(ctx, args, os.Stdin, stdout, stderr)
	})
}

// command is what the flags say.
type command struct {
	method  string
	fields  [][2]string // names and values
	content content

	include, verbose bool
	timeout, expect  time.Duration
	stdout, stderr   io.Writer
}

// run is the program: it ends with the response, or with ctx.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	cmd := command{stdout: stdout, stderr: stderr}
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cmd.method, "X", "", "`METHOD` of the request (GET, or POST with -d)")
	data := flags.String("d", "", "content: `DATA`, @FILE, or - for standard input")
	flags.Func("H", "`FIELD` to send, as \"Name: value\"; may be repeated", cmd.addField)
	flags.BoolVar(&cmd.include, "i", false, "write the response's head too")
	flags.BoolVar(&cmd.verbose, "v", false, "show heads and trailers on standard error, interim responses too")
	flags.DurationVar(&cmd.timeout, "timeout", 30*time.Second, "give up when nothing moves for so long; 0: never")
	flags.DurationVar(&cmd.expect, "expect", time.Second, "how long to wait for 100 (Continue) before long content is sent; 0: do not ask for it")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: client [flags] http://HOST[:PORT]/PATH | unix:SOCKET:/PATH")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return program.ErrUsage
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return program.ErrUsage
	}
	to, err := parse(flags.Arg(0))
	if err != nil {
		fmt.Fprintf(stderr, "client: %v\n", err)
		return program.ErrUsage
	}
	flags.Visit(func(f *flag.Flag) {
		if f.Name == "d" && err == nil {
			cmd.content, err = open(*data, stdin)
		}
	})
	if err != nil {
		return err
	}
	defer cmd.content.close()
	if cmd.method == "" {
		cmd.method = "GET"
		if cmd.content.Reader != nil {
			cmd.method = "POST"
		}
	}
	return cmd.do(ctx, to)
}

func (cmd *command) addField(line string) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return errors.New("no colon")
	}
	cmd.fields = append(cmd.fields, [2]string{name, strings.TrimSpace(value)})
	return nil
}

// field returns the value of a field that was given with -H.
func (cmd *command) field(name string) (value string, ok bool) {
	for _, f := range cmd.fields {
		if strings.EqualFold(f[0], name) {
			return f[1], true
		}
	}
	return "", false
}

// destination is where a request goes.
type destination struct {
	addr   string // as program.Dial takes it
	host   string
	target string
}

// parse takes "http://HOST[:PORT]/PATH" and "unix:SOCKET:/PATH".
func parse(arg string) (destination, error) {
	if socket, ok := strings.CutPrefix(arg, "unix:"); ok {
		path, target, ok := strings.Cut(socket, ":/")
		if !ok || path == "" {
			return destination{}, fmt.Errorf("%q is not unix:SOCKET:/PATH", arg)
		}
		return destination{addr: "unix:" + path, host: "localhost", target: "/" + target}, nil
	}
	u, err := url.Parse(arg)
	switch {
	case err != nil:
		return destination{}, err
	case u.Scheme == "https":
		return destination{}, fmt.Errorf("%q: there is no TLS here, so no https", arg)
	case u.Scheme != "http" || u.Hostname() == "" || u.User != nil:
		return destination{}, fmt.Errorf("%q is not http://HOST[:PORT]/PATH", arg)
	}
	to := destination{addr: u.Host, host: u.Host, target: u.RequestURI()}
	if u.Port() == "" {
		to.addr = strings.TrimSuffix(u.Host, ":") + ":80"
	}
	return to, nil
}

// content is the content of the request.
type content struct {
	io.Reader       // nil: none
	length    int64 // bytes; -1: known at the end
	file      *os.File
}

// open opens what -d says.
func open(data string, stdin io.Reader) (content, error) {
	path, isFile := strings.CutPrefix(data, "@")
	switch {
	case data == "-":
		return content{Reader: stdin, length: -1}, nil
	case !isFile:
		return content{Reader: strings.NewReader(data), length: int64(len(data))}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return content{}, err
	}
	c := content{Reader: f, length: -1, file: f}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		c.length = info.Size()
		c.Reader = io.LimitReader(f, c.length) // it may be growing
	}
	return c, nil
}

func (c content) close() {
	if c.file != nil {
		_ = c.file.Close() // it was only read
	}
}
