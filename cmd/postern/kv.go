package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/kvstore"
)

// kvCommand is one of "postern kv ...", with its command line read.
type kvCommand struct {
	*program
	name     string
	operands []string
	value    []byte // of put, add and cas
	counter  uint64 // of cas
	store    *kvstore.Store

	db     string
	table  string
	create bool
	ttl    time.Duration // 0: none was given
	json   bool
	format string // "": by the file's name
}

// kvForm is what a command takes.
type kvForm struct {
	name     string
	min, max int // operands
	usage    string
	flags    []string // beside --db
	value    int      // the operand that may be a value or - for stdin; 0: none is
	run      func(*kvCommand, context.Context) error
}

var kvForms = []kvForm{
	{"get", 1, 1, "KEY", []string{"table", "json"}, 0, (*kvCommand).get},
	{"put", 1, 2, "KEY [VALUE|-]", []string{"table", "create", "ttl"}, 1, (*kvCommand).put},
	{"add", 1, 2, "KEY [VALUE|-]", []string{"table", "create", "ttl"}, 1, (*kvCommand).add},
	{"cas", 2, 3, "KEY COUNTER [VALUE|-]", []string{"table", "ttl"}, 2, (*kvCommand).cas},
	{"del", 1, 1, "KEY", []string{"table"}, 0, (*kvCommand).del},
	{"ls", 0, 1, "[PREFIX]", []string{"table"}, 0, (*kvCommand).ls},
	{"export", 0, 1, "[PREFIX]", []string{"table", "format"}, 0, (*kvCommand).export},
	{"import", 0, 1, "[FILE|-]", []string{"table", "format", "create"}, 0, (*kvCommand).importFile},
	{"watch", 0, 1, "[PREFIX]", []string{"table"}, 0, (*kvCommand).watch},
	{"stats", 0, 0, "", nil, 0, (*kvCommand).stats},
	{"backup", 1, 1, "FILE", nil, 0, (*kvCommand).backup},
	{"check", 0, 0, "", nil, 0, (*kvCommand).check},
}

func (p *program) kv(ctx context.Context, args []string) error {
	c := &kvCommand{program: p}
	form, err := c.parse(args)
	if err != nil {
		return err
	}
	if form.value > 0 {
		// Before the store is open: nobody else is kept waiting for our stdin.
		if c.value, err = p.readValue(c.operands[form.value:]); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	closeStore := func(context.Context) error { return nil }
	if c.name != "kv watch" { // which looks on while others have the file
		if err := c.open(ctx, form); err != nil {
			return err
		}
		closeStore = c.store.Close
	}
	err = form.run(c, ctx)
	if err != nil {
		err = fmt.Errorf("%s: %w", c.name, err)
	}
	return errors.Join(err, closeStore(context.WithoutCancel(ctx)))
}

func (c *kvCommand) parse(args []string) (form kvForm, err error) {
	flags := flag.NewFlagSet("kv", flag.ContinueOnError)
	flags.StringVar(&c.db, "db", "", "")
	flags.StringVar(&c.table, "table", defaultTable, "")
	flags.BoolVar(&c.create, "create", false, "")
	flags.BoolVar(&c.json, "json", false, "")
	flags.StringVar(&c.format, "format", "", "")
	flags.DurationVar(&c.ttl, "ttl", 0, "")
	c.operands, err = parse(flags, args)
	var names []string
	for _, f := range kvForms {
		names = append(names, f.name)
	}
	switch {
	case err != nil:
		return form, err
	case len(c.operands) == 0:
		return form, usagef("kv: a command is missing: %s or %s",
			strings.Join(names[:len(names)-1], ", "), names[len(names)-1])
	case c.operands[0] == "help":
		return form, flag.ErrHelp
	}
	word := c.operands[0]
	i := slices.Index(names, word)
	if i < 0 {
		return form, usagef("kv: no command %q%s", word, nearest(word, names...))
	}
	form = kvForms[i]
	c.name, c.operands = "kv "+word, c.operands[1:]
	if len(c.operands) < form.min || len(c.operands) > form.max {
		return form, usagef("%s: %d operands: the form is postern %[1]s %[3]s --db FILE", c.name, len(c.operands), form.usage)
	}
	flags.Visit(func(f *flag.Flag) {
		switch {
		case f.Name != "db" && !slices.Contains(form.flags, f.Name):
			err = usagef("%s: takes no --%s", c.name, f.Name)
		case f.Name == "ttl" && c.ttl <= 0:
			err = usagef("%s: --ttl %s: must be more than nothing", c.name, f.Value)
		case f.Name == "format" && c.format != "ndjson" && c.format != "csv":
			err = usagef("%s: --format %q: must be ndjson or csv", c.name, c.format)
		}
	})
	if err == nil && word == "cas" {
		if c.counter, err = strconv.ParseUint(c.operands[1], 10, 64); err != nil {
			err = usagef("%s: counter %q is no number", c.name, c.operands[1])
		}
	}
	if err == nil && c.db == "" {
		err = usagef("%s: --db FILE is missing", c.name)
	}
	return form, err
}

// open opens the file and finds the table. Both are made only if --create says
// so: a mistyped name is not to become a table.
func (c *kvCommand) open(ctx context.Context, form kvForm) error {
	hint := ""
	if slices.Contains(form.flags, "create") {
		hint = "; --create makes it"
	}
	var err error
	// The longest value is what the programs that use the store say, not we.
	c.store, err = kvstore.OpenExisting(c.db, kvstore.Options{MaxValue: -1})
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.create:
		return c.openNew()
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: no file %s%s", c.name, c.db, hint)
	case err != nil:
		return c.notOpen(err)
	case !slices.Contains(form.flags, "table"):
		return nil
	}
	there := c.store.Tables()
	for _, name := range there {
		if strings.EqualFold(name, c.table) {
			c.table = name
			return nil
		}
	}
	if err := c.store.Close(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	if c.create {
		return c.openNew()
	}
	others := "it has none"
	if len(there) > 0 {
		others = "there are: " + strings.Join(there, ", ")
	}
	return fmt.Errorf("%s: no table %q in %s; %s%s", c.name, c.table, c.db, others, hint)
}

func (c *kvCommand) openNew() (err error) {
	c.store, err = kvstore.Open(c.db, kvstore.Options{Tables: kvstore.Tables(c.table), MaxValue: -1})
	if err != nil {
		return c.notOpen(err)
	}
	return nil
}

func (c *kvCommand) notOpen(err error) error {
	var locked *kvstore.LockedError
	if !errors.As(err, &locked) {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	advice := "Stop the server that has it first."
	if curl := c.curl(); curl != "" {
		advice = "While a server has it, ask that one, at the address that it printed:\n  " + curl
	}
	return fmt.Errorf("%s: %s is in use by %s\n%s", c.name, c.db, holder(locked), advice)
}

// curl returns the command line that asks a server for the same, or "".
func (c *kvCommand) curl() string {
	base := fmt.Sprintf("http://%s:%d%s%s/", defaultHost, firstPort, kvPrefix, c.table)
	first := ""
	if len(c.operands) > 0 {
		first = c.operands[0]
	}
	key := url.PathEscape(first)
	switch c.name {
	case "kv get":
		return fmt.Sprintf("curl '%s%s'", base, key)
	case "kv put":
		return fmt.Sprintf("curl -X PUT --data-binary @- '%s%s'", base, key)
	case "kv add":
		return fmt.Sprintf("curl -X PUT -H 'If-None-Match: *' --data-binary @- '%s%s'", base, key)
	case "kv cas":
		return fmt.Sprintf("curl -X PUT -H 'If-Match: \"%d\"' --data-binary @- '%s%s'", c.counter, base, key)
	case "kv del":
		return fmt.Sprintf("curl -X DELETE '%s%s'", base, key)
	case "kv ls", "kv export":
		return fmt.Sprintf("curl '%s?prefix=%s'", base, url.QueryEscape(first))
	}
	return ""
}
