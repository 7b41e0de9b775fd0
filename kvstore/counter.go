package kvstore

// counterFloors gives each table the lowest counter its next new entry may
// have. It is above every counter that was removed from the table, so that no
// key ever gets a counter twice, though rows are forgotten when deleted.
//
// The zero value with base set reads through to base and copies it at the
// first change: a procedure that is rolled back leaves base as it was.
type counterFloors struct {
	base    []uint64 // as the procedure found it; by table.index
	changed []uint64 // nil until the first change
}

// of returns the table's floor.
func (f *counterFloors) of(t *table) uint64 {
	if f.changed != nil {
		return f.changed[t.index]
	}
	return f.base[t.index]
}

// retire raises the table's floor above a counter that goes out of use.
func (f *counterFloors) retire(t *table, counter uint64) {
	if counter < f.of(t) {
		return
	}
	if f.changed == nil {
		f.changed = append([]uint64(nil), f.base...)
	}
	f.changed[t.index] = counter + 1
}

// saveFloors writes the floors that differ from those in the file to kv_meta,
// inside the transaction.
func saveFloors(c *conn, tables []*table, saved, floors []uint64) error {
	for i, floor := range floors {
		if floor == saved[i] {
			continue
		}
		stmt, err := c.db.Prepare(`INSERT INTO kv_meta (name, value) VALUES (?1, ?2)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`)
		if err != nil {
			return err
		}
		stmt.BindText(1, tables[i].floorName())
		stmt.BindInt64(2, int64(floor))
		if err := run(stmt); err != nil {
			return err
		}
	}
	return nil
}

// committed returns the floors to go on from once the procedure has succeeded.
func (f *counterFloors) committed() []uint64 {
	if f.changed != nil {
		return f.changed
	}
	return f.base
}

// loadFloors reads the floors of tables from kv_meta.
func loadFloors(c *conn, tables []*table) ([]uint64, error) {
	floors := make([]uint64, len(tables))
	for i, t := range tables {
		n, err := c.number(`SELECT value FROM kv_meta WHERE name = ?1`, t.floorName())
		if err != nil {
			return nil, err
		}
		floors[i] = uint64(n)
	}
	return floors, nil
}
