package storetest

import (
	"fmt"
	"strings"
	"testing"

	"postern/kvstore"
)

func testRanges(t *testing.T, h *harness) {
	h.execute(func(tx Tx) error {
		for _, key := range []string{"", "a", "a\x00", "ab", "abc", "b", "b\xff", "b\xff\xff", "c", "\xff", "\xffz"} {
			if _, err := tx.Add("plain", key, nil); err != nil {
				return err
			}
		}
		return nil
	})
	for _, c := range []struct {
		r    kvstore.Range
		want string
	}{
		{kvstore.Range{}, `"" "a" "a\x00" "ab" "abc" "b" "b\xff" "b\xff\xff" "c" "\xff" "\xffz"`},
		{kvstore.Range{Reverse: true}, `"\xffz" "\xff" "c" "b\xff\xff" "b\xff" "b" "abc" "ab" "a\x00" "a" ""`},
		{kvstore.Range{Prefix: "a"}, `"a" "a\x00" "ab" "abc"`},
		{kvstore.Range{Prefix: "b\xff"}, `"b\xff" "b\xff\xff"`},
		{kvstore.Range{Prefix: "\xff"}, `"\xff" "\xffz"`},
		{kvstore.Range{Prefix: "nothing"}, ``},
		{kvstore.Range{Start: "ab"}, `"ab" "abc" "b" "b\xff" "b\xff\xff" "c" "\xff" "\xffz"`},
		{kvstore.Range{End: "ab"}, `"" "a" "a\x00"`},
		{kvstore.Range{Start: "a", End: "b"}, `"a" "a\x00" "ab" "abc"`},
		{kvstore.Range{Start: "b", End: "a"}, ``},
		{kvstore.Range{Start: "a", End: "a"}, ``},
		{kvstore.Range{Prefix: "a", Start: "ab"}, `"ab" "abc"`},
		{kvstore.Range{Prefix: "a", End: "ab"}, `"a" "a\x00"`},
		{kvstore.Range{Prefix: "b", Start: "a", End: "z"}, `"b" "b\xff" "b\xff\xff"`},
		{kvstore.Range{Limit: 2}, `"" "a"`},
		{kvstore.Range{Limit: -1, Prefix: "c"}, `"c"`},
		{kvstore.Range{Limit: 2, Reverse: true, End: "b"}, `"abc" "ab"`},
		{kvstore.Range{Limit: 1, Reverse: true, End: "a"}, `""`},
	} {
		h.view(func(tx ReadTx) error {
			var fromKeys, fromEntries []string
			for key, err := range tx.Keys("plain", c.r) {
				if err != nil {
					return err
				}
				fromKeys = append(fromKeys, fmt.Sprintf("%+q", key))
			}
			for e, err := range tx.Entries("plain", c.r) {
				if err != nil {
					return err
				}
				fromEntries = append(fromEntries, fmt.Sprintf("%+q", e.Key))
			}
			if got := strings.Join(fromKeys, " "); got != c.want {
				return fmt.Errorf("keys %+v:\n got %s\nwant %s", c.r, got, c.want)
			}
			if got := strings.Join(fromEntries, " "); got != c.want {
				return fmt.Errorf("entries %+v:\n got %s\nwant %s", c.r, got, c.want)
			}
			return nil
		})
	}
}

func testLoops(t *testing.T, h *harness) {
	const n = 700 // several pages
	name := func(i int) string { return fmt.Sprintf("%04d", i) }
	h.execute(func(tx Tx) error {
		for i := range n {
			if _, err := tx.Add("plain", name(i), []byte{1}); err != nil {
				return err
			}
		}
		return nil
	})
	h.execute(func(tx Tx) error {
		met := 0
		for e, err := range tx.Entries("plain", kvstore.Range{}) {
			if err != nil {
				return err
			}
			if e.Key != name(met) {
				return fmt.Errorf("met %q, want %q", e.Key, name(met))
			}
			met++
			if met%2 == 0 {
				if ok, err := tx.Delete("plain", e.Key); !ok || err != nil {
					return fmt.Errorf("delete %q: %v %v", e.Key, ok, err)
				}
			} else if _, err := tx.Update("plain", e.Key, []byte{2}, e.Counter); err != nil {
				return err
			}
			for range tx.Keys("plain", kvstore.Range{}) {
				break // a loop inside the loop, left early
			}
		}
		if met != n {
			return fmt.Errorf("met %d entries, want %d", met, n)
		}
		left, err := tx.ListKeys("plain")
		if err != nil || len(left) != n/2 {
			return fmt.Errorf("%d left, %v; want %d", len(left), err, n/2)
		}
		return nil
	})
}

func testLongScans(t *testing.T, h *harness) {
	const n = 1000
	h.execute(func(tx Tx) error {
		for i := range n {
			// Some pages end by their size in bytes, some by the number of rows.
			value := make([]byte, 10)
			if i < 100 {
				value = make([]byte, 100_000)
			}
			if _, err := tx.Add("plain", fmt.Sprintf("%04d", i), value); err != nil {
				return err
			}
		}
		return nil
	})
	for _, limit := range []int{0, 255, 256, 257, 512, 999, 1000, 1001} {
		for _, reverse := range []bool{false, true} {
			want := n
			if limit > 0 {
				want = min(n, limit)
			}
			h.view(func(tx ReadTx) error {
				met := 0
				for e, err := range tx.Entries("plain", kvstore.Range{Limit: limit, Reverse: reverse}) {
					if err != nil {
						return err
					}
					i := met
					if reverse {
						i = n - 1 - met
					}
					if e.Key != fmt.Sprintf("%04d", i) {
						return fmt.Errorf("limit %d, reverse %v: entry %d is %q", limit, reverse, met, e.Key)
					}
					met++
				}
				if met != want {
					return fmt.Errorf("limit %d, reverse %v: %d entries, want %d", limit, reverse, met, want)
				}
				return nil
			})
		}
	}
}
