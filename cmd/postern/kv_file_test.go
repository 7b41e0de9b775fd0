package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/kvstore"
)

func TestKVStats(t *testing.T) {
	db := makeStore(t, func(tx *kvstore.Tx) error {
		if _, err := tx.Add("default", "key", []byte("value"), kvstore.TTL(time.Hour)); err != nil {
			return err
		}
		_, err := tx.Add("default", "k2", nil)
		return err
	})
	if got := run(t, "", "kv", "put", "--create", "--table", "Other", "k", "--db", db); got != (result{}) {
		t.Fatal(got)
	}
	info, err := os.Stat(db)
	if err != nil {
		t.Fatal(err)
	}
	want := "  entries  key bytes  value bytes  expiring  table\n" +
		"        1          1            0         0  Other\n" +
		"        2          5            5         1  default\n" +
		db + " has " + fmt.Sprint(info.Size()) + " bytes\n"
	if got := run(t, "", "kv", "stats", "--db", db); got != (result{0, want, ""}) {
		t.Errorf("got\n%s%s\nwant\n%s", got.stdout, got.stderr, want)
	}
}

func TestKVTimeToLive(t *testing.T) {
	db := makeStore(t, func(*kvstore.Tx) error { return nil })
	before := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	for _, args := range [][]string{{"put", "a", "v"}, {"add", "b", "v"}, {"cas", "a", "0", "w"}} {
		if got := run(t, "", append([]string{"kv", "--ttl", "1h", "--db", db}, args...)...); got.status != 0 {
			t.Errorf("%q: %+v", args, got)
		}
	}
	after := time.Now().Add(time.Hour)
	useStore(t, db, func(tx *kvstore.Tx) error {
		for _, key := range []string{"a", "b"} {
			e, _, err := tx.Get("default", key)
			if err != nil || e.ExpiresAt.Before(before) || e.ExpiresAt.After(after) {
				t.Errorf("%s expires at %v, %v; want an hour from now", key, e.ExpiresAt, err)
			}
		}
		return nil
	})
}

func TestKVBackupAndCheck(t *testing.T) {
	db := makeStore(t, func(tx *kvstore.Tx) error {
		for i := range 200 {
			if _, err := tx.Add("default", fmt.Sprint(i), []byte(strings.Repeat("v", 100))); err != nil {
				return err
			}
		}
		return nil
	})
	copied := filepath.Join(t.TempDir(), "copy.db")
	if got := run(t, "", "kv", "backup", copied, "--db", db); got != (result{}) {
		t.Errorf("backup: %+v", got)
	}
	if got, want := contents(t, copied), contents(t, db); got != want {
		t.Error("the copy differs")
	}
	if got := run(t, "", "kv", "check", "--db", copied); got != (result{0, copied + " is in order\n", ""}) {
		t.Errorf("check: %+v", got)
	}
	got := run(t, "", "kv", "backup", db, "--db", db)
	if got.status != 1 || !strings.Contains(got.stderr, "kv backup: ") || !strings.Contains(got.stderr, "the store itself") {
		t.Errorf("backup onto itself: %+v", got)
	}

	image, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	clear(image[len(image)-4096:])
	if err := os.WriteFile(copied, image, 0o600); err != nil {
		t.Fatal(err)
	}
	got = run(t, "", "kv", "check", "--db", copied)
	if got.status != 1 || !strings.HasPrefix(got.stderr, "postern: kv check: kvstore: check: file is damaged") {
		t.Errorf("check of a damaged file: %+v", got)
	}
}
