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
	listeners, err := listen(*addr, *path, *token != "", secure)
	if err != nil {
		return err
	}
	store, err := openStore(*db, kvstore.Options{Tables: kvstore.Tables(tables...), Logger: log})
	if err != nil {
		closeAll(listeners)
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
	srv := server.New(site(kv, page), config)

	defer secure.reloadOnHangup()()
	p.announce(listeners, tables[0], *db, *token != "", secure)
	err = answer(ctx, srv, listeners)
	return errors.Join(err, store.Close(context.WithoutCancel(ctx)))
}

func openStore(db string, options kvstore.Options) (*kvstore.Store, error) {
	if db == "" {
		return kvstore.OpenMemory(options)
	}
	return kvstore.Open(db, options)
}

func holder(locked *kvstore.LockedError) string {
	if locked.PID == 0 {
		return "another process"
	}
	return fmt.Sprintf("process %d", locked.PID)
}

// answer serves until ctx ends, a signal comes or a listener fails, and then lets
// exchanges that have begun come to their end. A second signal does what signals do.
func answer(ctx context.Context, srv *server.Server, listeners []net.Listener) error {
	ctx, restore := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer restore()
	context.AfterFunc(ctx, restore)
	if err := srv.Run(ctx, listeners...); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// announce tells where we are, and gives three lines to paste into a shell. They
// leave it to the shell to know the token.
func (p *program) announce(listeners []net.Listener, table, db string, guarded bool, secure *https) {
	url, curl := secure.address(listeners[0].Addr(), guarded)
	fmt.Fprintf(p.stdout, "postern serves %s/ until Ctrl-C\n", url)
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
