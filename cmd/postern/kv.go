package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"postern/kvstore"
)

// maxValue is the longest value that put and add take, in bytes.
const maxValue = 16 << 20

// kvCommand is one of "postern kv ...", with its command line read.
type kvCommand struct {
	*program
	name  string
	db    string
	table string
	key   string // of ls: the prefix
	value []byte
	store *kvstore.Store
}

// kvForms is what each command takes.
var kvForms = map[string]struct {
	min, max int // operands
	usage    string
	creates  bool // the file, if there is none
	run      func(*kvCommand, context.Context) error
}{
	"get": {1, 1, "KEY", false, (*kvCommand).get},
	"put": {1, 2, "KEY [VALUE|-]", true, (*kvCommand).put},
	"add": {1, 2, "KEY [VALUE|-]", true, (*kvCommand).add},
	"del": {1, 1, "KEY", false, (*kvCommand).del},
	"ls":  {0, 1, "[PREFIX]", false, (*kvCommand).ls},
}

func (p *program) kv(ctx context.Context, args []string) error {
	c := &kvCommand{program: p}
	flags := flag.NewFlagSet("kv", flag.ContinueOnError)
	flags.StringVar(&c.db, "db", "", "")
	flags.StringVar(&c.table, "table", defaultTable, "")
	operands, err := parse(flags, args)
	switch {
	case err != nil:
		return err
	case len(operands) == 0:
		return usagef("kv: a command is missing: get, put, add, del or ls")
	case operands[0] == "help":
		return flag.ErrHelp
	}
	form, ok := kvForms[operands[0]]
	if !ok {
		return usagef("kv: no command %q%s", operands[0], nearest(operands[0], "get", "put", "add", "del", "ls"))
	}
	c.name, operands = "kv "+operands[0], operands[1:]
	switch {
	case len(operands) < form.min || len(operands) > form.max:
		return usagef("%s: %d operands: the form is postern %[1]s %[3]s --db FILE", c.name, len(operands), form.usage)
	case c.db == "":
		return usagef("%s: --db FILE is missing", c.name)
	}
	if len(operands) > 0 {
		c.key = operands[0]
	}
	if form.creates {
		// Before the store is open: nobody else is kept waiting for our stdin.
		if c.value, err = p.readValue(operands[1:]); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	} else if _, err := os.Stat(c.db); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: no file %s", c.name, c.db)
	}
	if err := c.open(); err != nil {
		return err
	}
	err = form.run(c, ctx)
	return errors.Join(err, c.store.Close(context.WithoutCancel(ctx)))
}

func (p *program) readValue(operand []string) ([]byte, error) {
	var value []byte
	if len(operand) == 1 && operand[0] != "-" {
		value = []byte(operand[0])
	} else {
		var err error
		if value, err = io.ReadAll(io.LimitReader(p.stdin, maxValue+1)); err != nil {
			return nil, fmt.Errorf("stdin: %w", err)
		}
	}
	if len(value) > maxValue {
		return nil, fmt.Errorf("value is longer than %d bytes", maxValue)
	}
	return value, nil
}

func (c *kvCommand) open() (err error) {
	c.store, err = kvstore.Open(c.db, kvstore.Options{Tables: kvstore.Tables(c.table), MaxValue: maxValue})
	var locked *kvstore.LockedError
	switch {
	case errors.As(err, &locked):
		return fmt.Errorf("%s: %s is in use by %s\nWhile a server has it, ask that one, at the address that it printed:\n  %s",
			c.name, c.db, holder(locked), c.curl())
	case err != nil:
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

// curl returns the command line that asks a server for the same.
func (c *kvCommand) curl() string {
	base := fmt.Sprintf("http://%s:%d%s%s/", defaultHost, firstPort, kvPrefix, c.table)
	key := url.PathEscape(c.key)
	switch c.name {
	case "kv put":
		return fmt.Sprintf("curl -X PUT --data-binary @- '%s%s'", base, key)
	case "kv add":
		return fmt.Sprintf("curl -X PUT -H 'If-None-Match: *' --data-binary @- '%s%s'", base, key)
	case "kv del":
		return fmt.Sprintf("curl -X DELETE '%s%s'", base, key)
	case "kv ls":
		return fmt.Sprintf("curl '%s?prefix=%s'", base, url.QueryEscape(c.key))
	}
	return fmt.Sprintf("curl '%s%s'", base, key)
}

func (c *kvCommand) get(ctx context.Context) error {
	e, found, err := c.store.Get(ctx, c.table, c.key)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	if !found {
		return c.absent()
	}
	if terminal(c.stdout) && (len(e.Value) == 0 || e.Value[len(e.Value)-1] != '\n') {
		e.Value = append(e.Value, '\n')
	}
	if _, err := c.stdout.Write(e.Value); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

func (c *kvCommand) absent() error {
	return fmt.Errorf("%s: no key %q in table %q of %s", c.name, c.key, c.table, c.db)
}

func (c *kvCommand) put(ctx context.Context) error {
	if _, err := c.store.Overwrite(ctx, c.table, c.key, c.value); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

func (c *kvCommand) add(ctx context.Context) error {
	_, err := c.store.Add(ctx, c.table, c.key, c.value)
	switch {
	case errors.Is(err, kvstore.ErrExists):
		return fmt.Errorf("%s: key %q is already in table %q of %s", c.name, c.key, c.table, c.db)
	case err != nil:
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

func (c *kvCommand) del(ctx context.Context) error {
	found, err := c.store.Delete(ctx, c.table, c.key)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	if !found {
		return c.absent()
	}
	return nil
}

// listPage is how many keys ls reads at a time.
const listPage = 1000

func (c *kvCommand) ls(ctx context.Context) error {
	out := bufio.NewWriter(c.stdout)
	page := kvstore.Range{Prefix: c.key, Limit: listPage}
	for {
		keys, err := kvstore.View(ctx, c.store, func(tx *kvstore.ReadTx) (keys []string, err error) {
			for key, err := range tx.Keys(c.table, page) {
				if err != nil {
					return nil, err
				}
				keys = append(keys, key)
			}
			return keys, nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		for _, key := range keys {
			out.WriteString(printable(key))
			out.WriteByte('\n')
		}
		if len(keys) < listPage {
			break
		}
		page.Start = keys[len(keys)-1] + "\x00" // the lowest key above it
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

// printable returns key as a line that stands for no other key: as it is, or
// quoted if it has bytes that do not print or looks like a quoted one.
func printable(key string) string {
	plain := key != "" && key[0] != '"' && utf8.ValidString(key) &&
		strings.IndexFunc(key, func(r rune) bool { return !strconv.IsPrint(r) }) < 0
	if plain {
		return key
	}
	return strconv.Quote(key)
}

// terminal reports whether w is one, or another device that is no file and no pipe.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}
