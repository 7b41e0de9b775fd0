package kvstore

// change is a key that a procedure wrote or removed, or all of a table.
type change struct {
	table *table
	key   string
	all   bool
}

func (t *Tx) changed(tb *table, key string) {
	if t.watched {
		t.changes = append(t.changes, change{table: tb, key: key})
	}
}

func (t *Tx) changedAll(tb *table) {
	if t.watched {
		t.changes = append(t.changes, change{table: tb, all: true})
	}
}

// watched reports whether someone wants to know what changes.
func (s *Store) watched() bool { return false }

func (s *Store) publish([]change) {}
