// Postern serves a key-value store over HTTP, and looks into its file while
// nobody serves it. "postern help" says how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

const help = `postern serves a key-value store over HTTP.

postern [serve] [flags]         serve until Ctrl-C; a second Ctrl-C ends it at once
  --addr HOST:PORT   where to listen; without it 127.0.0.1:8080, or the next free
                     port up to 8180
  --unix PATH        listen on a Unix socket too, never with TLS
  --tls-cert FILE    speak HTTPS with this certificate, and those that lead to its
                     root behind it, as PEM
  --tls-key FILE     and this key; both are read again when they have changed, within
                     a minute and at SIGHUP, and what cannot be used is left alone
  --tls-self-signed  speak HTTPS with a certificate made now, which no client trusts
  --db FILE          keep the store in FILE; without it in memory, gone at exit
  --table NAME       serve this table; may be repeated; without it: default
  --token TOKEN      ask clients for "Authorization: Bearer TOKEN"; the environment
                     variable POSTERN_TOKEN does the same; needed beyond loopback
  --quiet            no access log
  With LISTEN_FDS set, as systemd does for a .socket unit, the sockets that are passed
  take the place of --addr and --unix. With NOTIFY_SOCKET set the service manager is
  told READY=1, STOPPING=1 and MAINPID=.
  SIGUSR2, with --db: start this program anew by the name it was called by, with the
  same arguments, and hand it the sockets and the file once it is ready; no client is
  refused. If it fails this process goes on. Not on Windows.

postern kv get KEY              write the value as it is; a terminal gets a newline
                                behind it if it has none; with --json: the entry
postern kv put KEY [VALUE|-]    write the entry, new or not; - or nothing: from stdin
postern kv add KEY [VALUE|-]    the same, if there is none yet
postern kv cas KEY COUNTER [VALUE|-]
                                the same, if its counter is still that one; prints
                                the new counter
postern kv del KEY              remove the entry
postern kv ls [PREFIX]          keys, one a line, in order; one that does not print
                                stands in quotes, with escapes
postern kv export [PREFIX]      entries, one a line, in order
postern kv import [FILE|-]      write what export wrote over what is there; counters
                                begin anew, what has expired is left out
postern kv watch [PREFIX]       entries as export writes them, first all and then each
                                one that changes, until Ctrl-C; for one removed:
                                {"key":"...","deleted":true}. This one works while a
                                server has the file: it looks at it 20 times a second
                                and shows the latest state, not each change; on a big
                                table "curl -N .../kv/default/?watch" costs less
postern kv stats                entries and bytes of each table
postern kv backup FILE          a copy of the whole store that opens as one
postern kv check                read everything and see whether it is in order
  --db FILE          the store
  --table NAME       the table; without it: default
  --create           put, add, import: make file and table if there are none
  --ttl DURATION     put, add, cas: the entry expires after 90s, 1h30m, ...
  --format FORMAT    export, import: ndjson (the default) or csv (that of *.csv)
  --json             get: the entry as export would write it, with its counter

postern help                    this text

Flags stand before or behind operands; -- ends them, for a key that begins with -.
Exit status: 0 done, 1 failed, 2 not understood.
`

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// program is what a command talks to.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// run is the program without its process. It returns the exit status. Serving
// ends with ctx, and with SIGINT and SIGTERM.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{stdin, stdout, stderr}
	err := p.command(ctx, args)
	var misuse *usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, help)
		return 0
	case errors.As(err, &misuse):
		fmt.Fprintf(stderr, "postern: %v\nTry \"postern help\".\n", err)
		return 2
	}
	fmt.Fprintln(stderr, "postern:", err)
	return 1
}

func (p *program) command(ctx context.Context, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return p.serve(ctx, args)
	}
	switch args[0] {
	case "serve":
		return p.serve(ctx, args[1:])
	case "kv":
		return p.kv(ctx, args[1:])
	case "help":
		return flag.ErrHelp
	}
	return usagef("no command %q%s", args[0], nearest(args[0], "serve", "kv", "help"))
}

// usageError is a command line that makes no sense.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// parse reads flags and operands in any order. Behind "--" all are operands.
func parse(flags *flag.FlagSet, args []string) (operands []string, err error) {
	flags.SetOutput(io.Discard) // run reports
	for {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, usagef("%s: %v", flags.Name(), err)
		}
		rest := flags.Args()
		if used := len(args) - len(rest); used > 0 && args[used-1] == "--" {
			return append(operands, rest...), nil
		}
		if len(rest) == 0 {
			return operands, nil
		}
		operands, args = append(operands, rest[0]), rest[1:]
	}
}

// nearest returns a question that names the word meant, or "".
func nearest(word string, words ...string) string {
	best, least := "", 3
	for _, w := range words {
		d := distance(word, w)
		if strings.HasPrefix(word, w) || word != "" && strings.HasPrefix(w, word) {
			d = 1
		}
		if d < least && d < len(w) {
			best, least = w, d
		}
	}
	if best == "" {
		return "; there are: " + strings.Join(words, ", ")
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance counts the bytes to insert, remove or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
