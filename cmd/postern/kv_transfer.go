package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"postern/kvstore"
)

// A batch is what is read or written in one transaction. It ends at whichever
// comes first.
const (
	batchRows  = 1000
	batchBytes = 1 << 20 // of keys and values
)

// eachEntry calls fn for every entry of the table, in the order of their keys.
// It holds one batch of them at a time.
func eachEntry(ctx context.Context, store *kvstore.Store, table, prefix string, fn func(kvstore.Entry) error) error {
	next := kvstore.Range{Prefix: prefix, Limit: batchRows}
	for {
		var more bool
		batch, err := kvstore.View(ctx, store, func(tx *kvstore.ReadTx) (batch []kvstore.Entry, err error) {
			size := 0
			for e, err := range tx.Entries(table, next) {
				if err != nil {
					return nil, err
				}
				batch = append(batch, e)
				if size += len(e.Key) + len(e.Value); size >= batchBytes {
					break
				}
			}
			more = size >= batchBytes || len(batch) == batchRows
			return batch, nil
		})
		if err != nil {
			return err
		}
		for _, e := range batch {
			if err := fn(e); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
		next.Start = batch[len(batch)-1].Key + "\x00" // the lowest key above it
	}
}

func (c *kvCommand) export(ctx context.Context) error {
	buffered := bufio.NewWriterSize(c.stdout, 64<<10)
	var out rowWriter = newNDJSONWriter(buffered)
	if c.format == "csv" {
		out = newCSVWriter(buffered)
	}
	shown := c.newProgress(0)
	defer shown.end()
	err := eachEntry(ctx, c.store, c.table, c.prefix(), func(e kvstore.Entry) error {
		shown.step(0)
		return out.write(e)
	})
	return errors.Join(err, out.flush(), buffered.Flush())
}

// importFile writes what export has written. Entries get counters of this
// store, because a counter is never used twice here; those in the file are only
// looked at. What has expired is left out.
func (c *kvCommand) importFile(ctx context.Context) error {
	name, in, size := "stdin", c.stdin, int64(0)
	if len(c.operands) == 1 && c.operands[0] != "-" {
		f, err := os.Open(c.operands[0])
		if err != nil {
			return err
		}
		defer f.Close()
		name, in = c.operands[0], f
	}
	if f, ok := in.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
	}
	counted := &countingReader{r: in}
	var rows rowReader = newNDJSONReader(counted)
	if c.format == "csv" || c.format == "" && strings.EqualFold(filepath.Ext(name), ".csv") {
		rows = newCSVReader(counted)
	}
	shown := c.newProgress(size)
	i := importer{c: c, step: func() { shown.step(counted.n) }}
	err := i.run(ctx, rows)
	shown.end()
	if err != nil {
		return fmt.Errorf("%s %w; imported before that: %s", name, err, i.summary())
	}
	_, err = fmt.Fprintln(c.stdout, i.summary())
	return err
}

// importer puts rows into the table, a batch at a time: all of a batch is
// imported or none of it.
type importer struct {
	c     *kvCommand
	step  func() // after each row
	batch []row
	bytes int // in the batch

	imported, expired int
}

func (i *importer) summary() string {
	text := fmt.Sprintf("%d entries", i.imported)
	if i.imported == 1 {
		text = "1 entry"
	}
	if i.expired > 0 {
		text += fmt.Sprintf(", and %d had expired", i.expired)
	}
	return text
}

// run imports until the end or the first row that cannot be. Those before that
// row are in then.
func (i *importer) run(ctx context.Context, rows rowReader) error {
	for {
		r, err := rows.next()
		if err != nil {
			if failed := i.flush(ctx); failed != nil {
				return failed
			}
			if err == io.EOF {
				return nil
			}
			return err
		}
		i.batch = append(i.batch, r)
		i.bytes += len(r.key) + len(r.value)
		i.step()
		if len(i.batch) == batchRows || i.bytes >= batchBytes {
			if err := i.flush(ctx); err != nil {
				return err
			}
		}
	}
}

func (i *importer) flush(ctx context.Context) error {
	expired := 0
	err := i.c.store.Execute(ctx, func(tx *kvstore.Tx) error {
		expired = 0
		for _, r := range i.batch {
			if !r.expiresAt.IsZero() && r.expiresAt.Before(tx.Now()) {
				expired++
				continue
			}
			if _, err := tx.Overwrite(i.c.table, r.key, r.value, kvstore.ExpiresAt(r.expiresAt)); err != nil {
				return &lineError{r.line, err}
			}
		}
		return nil
	})
	var at *lineError
	switch {
	case err == nil:
		i.imported += len(i.batch) - expired
		i.expired += expired
		clear(i.batch) // lets go of the values
		i.batch, i.bytes = i.batch[:0], 0
		return nil
	case errors.As(err, &at):
		return at
	}
	return &lineError{i.batch[0].line, err}
}

// countingReader counts what was read.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
