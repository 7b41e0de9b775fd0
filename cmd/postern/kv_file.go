package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"

	"postern/kvstore"
)

// tally is what stats says about a table.
type tally struct {
	entries, keyBytes, valueBytes, expiring int64
}

// stats counts by reading everything; sizes are in bytes.
func (c *kvCommand) stats(ctx context.Context) error {
	info, err := os.Stat(c.db)
	if err != nil {
		return err
	}
	out := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "entries\tkey bytes\tvalue bytes\texpiring\t  table")
	for _, table := range c.store.Tables() {
		var t tally
		err := eachEntry(ctx, c.store, table, "", func(e kvstore.Entry) error {
			t.entries++
			t.keyBytes += int64(len(e.Key))
			t.valueBytes += int64(len(e.Value))
			if !e.ExpiresAt.IsZero() {
				t.expiring++
			}
			return nil
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%d\t%d\t%d\t%d\t  %s\n", t.entries, t.keyBytes, t.valueBytes, t.expiring, table)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.stdout, "%s has %d bytes\n", c.db, info.Size())
	return err
}

// backup ends with a signal too, so that no half file stays behind.
func (c *kvCommand) backup(ctx context.Context) error {
	ctx, restore := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer restore()
	return c.store.Backup(ctx, c.operands[0])
}

func (c *kvCommand) check(ctx context.Context) error {
	if err := c.store.Check(ctx); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.stdout, "%s is in order\n", c.db)
	return err
}
