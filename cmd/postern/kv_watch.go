package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"unicode/utf8"

	"postern/kvstore"
)

// goneRow is the line of an entry that was removed.
type goneRow struct {
	Key       *string `json:"key,omitempty"`
	KeyBase64 *[]byte `json:"key_base64,omitempty"`
	Deleted   bool    `json:"deleted"`
}

// watch prints entries until a signal or ctx ends it, which is no failure. It takes no
// lock: a server may have the file.
func (c *kvCommand) watch(ctx context.Context) error {
	ctx, restore := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer restore()
	out := bufio.NewWriterSize(c.stdout, 64<<10)
	for page, err := range kvstore.Follow(ctx, c.db, c.table, c.prefix()) {
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("no file %s", c.db)
		case err != nil:
			return err
		}
		for _, e := range page {
			if err := writeState(out, e); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func writeState(out *bufio.Writer, e kvstore.Entry) error {
	if e.Value != nil {
		return newNDJSONWriter(out).write(e)
	}
	line := goneRow{Deleted: true}
	if utf8.ValidString(e.Key) {
		line.Key = &e.Key
	} else {
		key := []byte(e.Key)
		line.KeyBase64 = &key
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return enc.Encode(line)
}
