package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"postern/kvstore"
)

// maxValue is the longest value that put, add and cas take, in bytes.
const maxValue = 16 << 20

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

func (c *kvCommand) get(ctx context.Context) error {
	e, found, err := c.store.Get(ctx, c.table, c.operands[0])
	switch {
	case err != nil:
		return err
	case !found:
		return c.absent()
	case c.json:
		out := newNDJSONWriter(c.stdout)
		return errors.Join(out.write(e), out.flush())
	}
	if terminal(c.stdout) && (len(e.Value) == 0 || e.Value[len(e.Value)-1] != '\n') {
		e.Value = append(e.Value, '\n')
	}
	_, err = c.stdout.Write(e.Value)
	return err
}

func (c *kvCommand) absent() error {
	return fmt.Errorf("no key %q in table %q of %s", c.operands[0], c.table, c.db)
}

func (c *kvCommand) lifetime() []kvstore.PutOption {
	if c.ttl == 0 {
		return nil
	}
	return []kvstore.PutOption{kvstore.TTL(c.ttl)}
}

func (c *kvCommand) put(ctx context.Context) error {
	_, err := c.store.Overwrite(ctx, c.table, c.operands[0], c.value, c.lifetime()...)
	return err
}

func (c *kvCommand) add(ctx context.Context) error {
	_, err := c.store.Add(ctx, c.table, c.operands[0], c.value, c.lifetime()...)
	if errors.Is(err, kvstore.ErrExists) {
		return fmt.Errorf("key %q is already in table %q of %s", c.operands[0], c.table, c.db)
	}
	return err
}

// cas compares and swaps: it writes if the counter is still the one that get
// --json gave, and prints the new one.
func (c *kvCommand) cas(ctx context.Context) error {
	key := c.operands[0]
	counter, err := kvstore.Execute(ctx, c.store, func(tx *kvstore.Tx) (uint64, error) {
		e, found, err := tx.Get(c.table, key)
		switch {
		case err != nil:
			return 0, err
		case !found:
			return 0, c.absent()
		case e.Counter != c.counter:
			return 0, fmt.Errorf("key %q in table %q of %s is at counter %d, not %d", key, c.table, c.db, e.Counter, c.counter)
		}
		return tx.Update(c.table, key, c.value, c.counter, c.lifetime()...)
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.stdout, counter)
	return err
}

func (c *kvCommand) del(ctx context.Context) error {
	found, err := c.store.Delete(ctx, c.table, c.operands[0])
	if err == nil && !found {
		err = c.absent()
	}
	return err
}

// prefix is the operand of ls and export.
func (c *kvCommand) prefix() string {
	if len(c.operands) == 0 {
		return ""
	}
	return c.operands[0]
}

// listPage is how many keys ls reads at a time.
const listPage = 1000

func (c *kvCommand) ls(ctx context.Context) error {
	out := bufio.NewWriter(c.stdout)
	page := kvstore.Range{Prefix: c.prefix(), Limit: listPage}
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
			return err
		}
		for _, key := range keys {
			out.WriteString(printable(key))
			out.WriteByte('\n')
		}
		if len(keys) < listPage {
			return out.Flush()
		}
		page.Start = keys[len(keys)-1] + "\x00" // the lowest key above it
	}
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
