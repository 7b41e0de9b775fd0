package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"postern/kvstore"
	"postern/server"
	"postern/server/kvhttp"
	"postern/transport/inherit"
)

const defaultTable = "default"

func (p *program) serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	addr := flags.String("addr", "", "")
	path := flags.String("unix", "", "")
	db := flags.String("db", "", "")
	token := flags.String("token", os.Getenv("POSTERN_TOKEN"), "")
	quiet := flags.Bool("quiet", false, "")
	var encrypt httpsFlags
	encrypt.register(flags)
	var tables []string
	flags.Func("table", "", func(name string) error {
		tables = append(tables, name)
		return nil
	})
	operands, err := parse(flags, args)
	if err != nil {
		return err
	}
	if len(operands) > 0 {
		return usagef("serve: argument %q: there are only flags", operands[0])
	}
	if tables == nil {
		tables = []string{defaultTable}
	}

	log := slog.New(slog.NewTextHandler(p.stderr, nil))
	secure, err := encrypt.load(*addr, log)
	if err != nil {
		return err
	}
	signals, stop := handoverSignals()
	defer stop()
	in, err := inherit.Receive()
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	sockets := in.Sockets
	if len(sockets) == 0 {
		if sockets, err = listen(*addr, *path); err != nil {
			return err
		}
	}
	listeners, err := serving(sockets, *token != "", secure)
	if err != nil {
		closeAll(sockets)
		return err
	}
	store, err := openStore(ctx, *db, kvstore.Options{Tables: kvstore.Tables(tables...), Logger: log}, in)
	if err != nil {
		closeAll(sockets)
		var locked *kvstore.LockedError
		if errors.As(err, &locked) {
			return fmt.Errorf("serve: %s is in use by %s", *db, holder(locked))
		}
		return fmt.Errorf("serve: %w", err)
	}
	page := welcome(welcomeData{Tables: tables, File: *db != "", Token: *token != ""})
	kv := kvhttp.New(store, kvhttp.Config{Prefix: kvPrefix, Token: *token, Log: log})
	config := server.Config{Log: log}
	if !*quiet {
		config.AccessLog = log
	}
	next := &succession{sockets: sockets, file: *db != "", signals: signals, log: log}
	srv := server.New(next.wrap(site(kv, page)), config)

	defer secure.reloadOnHangup()()
	if len(in.Sockets) > 0 {
		fmt.Fprintln(p.stdout, "postern was started with its sockets: --addr and --unix are not used")
	}
	p.announce(listeners, tables[0], *db, *token != "", secure)
	if err := in.Ready(); err != nil {
		log.Warn("who started this process was not told that it is ready", "error", err)
	}
	err = answer(ctx, srv, listeners, next)
	return errors.Join(err, store.Close(context.WithoutCancel(ctx)))
}

func holder(locked *kvstore.LockedError) string {
	if locked.PID == 0 {
		return "another process"
	}
	return fmt.Sprintf("process %d", locked.PID)
}

// answer serves until ctx ends, a signal comes, a listener fails or the next process
// is ready, and then lets exchanges that have begun come to their end. A second signal
// does what signals do.
func answer(ctx context.Context, srv *server.Server, listeners []net.Listener, next *succession) error {
	ctx, restore := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer restore()
	context.AfterFunc(ctx, restore)
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	go next.serve(ctx, leave) // ends with ctx
	context.AfterFunc(ctx, func() {
		if !next.leaving.Load() {
			next.notify("STOPPING=1")
		}
	})
	if err := srv.Run(ctx, listeners...); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// announce tells where we are, and gives three lines to paste into a shell. They
// leave it to the shell to know the token.
func (p *program) announce(listeners []net.Listener, table, db string, guarded bool, secure *https) {
	url, curl := secure.address(listeners[0].Addr(), guarded)
	if onUnix(listeners[0].Addr()) {
		fmt.Fprintf(p.stdout, "postern serves %s until Ctrl-C\n", listeners[0].(server.Listener).Name)
	} else {
		fmt.Fprintf(p.stdout, "postern serves %s/ until Ctrl-C\n", url)
	}
	for _, ln := range listeners[1:] {
		fmt.Fprintf(p.stdout, "listening on %s too\n", ln.(server.Listener).Name)
	}
	if db == "" {
		fmt.Fprintln(p.stdout, "the store is in memory and gone at exit: --db FILE keeps it")
	} else {
		fmt.Fprintf(p.stdout, "the store is in %s\n", db)
	}
	if guarded {
		fmt.Fprintln(p.stdout, "\nTry it, with the token in POSTERN_TOKEN:")
		curl += ` -H "Authorization: Bearer $POSTERN_TOKEN"`
	} else {
		fmt.Fprintln(p.stdout, "\nTry it:")
	}
	base := url + kvPrefix + table + "/"
	fmt.Fprintf(p.stdout, "  %s -X PUT --data-binary hello '%sgreeting'\n", curl, base)
	fmt.Fprintf(p.stdout, "  %s '%sgreeting'\n", curl, base)
	fmt.Fprintf(p.stdout, "  %s '%s?limit=10'\n", curl, base)
}

const kvPrefix = "/kv/"

// site is all that is served: the welcome page, the store, and nothing else.
func site(kv server.Handler, page server.Response) server.Handler {
	return func(r *server.Request) server.Response {
		switch {
		case bytes.HasPrefix(r.PathBytes(), []byte(kvPrefix)):
			return kv(r)
		case r.PathIs("/"):
			return readOnly(r, page)
		case r.PathIs("/favicon.ico"):
			return readOnly(r, server.Empty(204))
		}
		return server.Text("nothing here: there are / and " + strings.TrimSuffix(kvPrefix, "/") + "/TABLE/KEY\n").WithStatus(404)
	}
}

func readOnly(r *server.Request, resp server.Response) server.Response {
	if m := r.Method(); m != "GET" && m != "HEAD" {
		return server.Text("this path takes only GET, HEAD\n").WithStatus(405).With("Allow", "GET, HEAD")
	}
	return resp
}
