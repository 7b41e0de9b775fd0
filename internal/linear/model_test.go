package linear_test

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// The store's tables are independent of each other for the checker: every transaction
// stays in one table, which has two keys.
var keys = [2]string{"a", "b"}

// cell is what the model knows of a key.
type cell struct {
	present bool // perhaps expired
	value   string
	next    uint64 // the counter after the highest that the key has had
	expires int64  // milliseconds since the Unix epoch; 0: never
}

// state is a table.
type state [len(keys)]cell

func (c cell) live(now int64) bool { return c.present && (c.expires == 0 || now <= c.expires) }

type kind uint8

const (
	get kind = iota
	add
	update
	tryUpdate
	overwrite
	remove
	clearAll
)

// What a write says about the expiry, where it names no instant.
const (
	keep    int64 = -1 // no option
	persist int64 = 0
)

// step is one operation of a transaction and what it returned.
type step struct {
	kind    kind
	key     int    // index in keys
	value   string // written
	counter uint64 // demanded
	expires int64  // keep, persist or the last instant

	ok         bool   // found, written or removed: neither false nor ErrExists nor ErrCounterMismatch
	gotValue   string // of get
	gotCounter uint64 // of get, and of a write except tryUpdate
	gotExpires int64  // of get
	removed    int64  // of clearAll
}

// apply returns the table after the step, if the step could have returned this there.
func (s state) apply(now int64, st step) (state, bool) {
	c := &s[st.key]
	live := c.live(now)
	switch st.kind {
	case get:
		if !live {
			return s, !st.ok
		}
		return s, st.ok && st.gotValue == c.value && st.gotCounter == c.next-1 && st.gotExpires == c.expires
	case remove:
		c.present = false
		return s, st.ok == live
	case clearAll:
		n := int64(0)
		for i := range s {
			if s[i].live(now) {
				n++
			}
			s[i].present = false
		}
		return s, st.removed == n
	}
	may := true
	switch st.kind {
	case add:
		may = !live
	case update, tryUpdate:
		may = live && st.counter == c.next-1
	}
	if !st.ok || !may {
		return s, st.ok == may
	}
	counter := st.gotCounter
	if st.kind == tryUpdate {
		counter = c.next // it does not say
	}
	if live && counter != c.next || counter < c.next {
		return s, false
	}
	expires := st.expires
	if expires == keep {
		expires = 0
		if live {
			expires = c.expires
		}
	}
	*c = cell{true, st.value, counter + 1, expires}
	return s, true
}

// transaction is what a history consists of: steps that happen at once, or not at all.
type transaction struct {
	table  string
	steps  []step
	lo, hi int64 // its Now lies between; the same where it is known
	maybe  bool  // nobody knows whether it happened
}

// after returns the tables that a transaction may leave, each time reading all of the
// steps with one Now. Those of several steps know theirs, so the two ends are all that
// can make a difference.
func (s state) after(tx transaction) []any {
	var results []any
	if tx.maybe {
		results = append(results, s)
	}
	for _, now := range slices.Compact([]int64{tx.lo, tx.hi}) {
		next, ok := s, true
		for _, st := range tx.steps {
			if next, ok = next.apply(now, st); !ok {
				break
			}
		}
		if ok {
			results = append(results, next)
		}
	}
	return results
}

// model is a table for the checker.
var model = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byTable := map[string][]porcupine.Operation{}
		for _, o := range history {
			table := o.Input.(transaction).table
			byTable[table] = append(byTable[table], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range byTable {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() []any { return []any{state{}} },
	Step: func(s, in, _ any) []any { return s.(state).after(in.(transaction)) },
}

// open is the time of an answer that never came.
const open = math.MaxInt64

func (st step) String() string {
	name := [...]string{"get", "add", "update", "try update", "overwrite", "delete", "clear"}[st.kind]
	switch st.kind {
	case get:
		return fmt.Sprintf("%s %s: %v %q counter %d expires %d", name, keys[st.key], st.ok, st.gotValue, st.gotCounter, st.gotExpires)
	case clearAll:
		return fmt.Sprintf("%s: %d", name, st.removed)
	}
	return fmt.Sprintf("%s %s=%q if %d expires %d: %v counter %d",
		name, keys[st.key], st.value, st.counter, st.expires, st.ok, st.gotCounter)
}

func (tx transaction) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %d-%d", tx.table, tx.lo, tx.hi)
	if tx.maybe {
		b.WriteString(", perhaps")
	}
	for _, st := range tx.steps {
		fmt.Fprintf(&b, "; %v", st)
	}
	return b.String()
}
