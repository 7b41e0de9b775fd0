package kvstore

import (
	"fmt"
	"strings"
)

// Table declares a table of the store.
type Table struct {
	// Name is [A-Za-z_][A-Za-z0-9_]{0,63}, does not begin with sqlite_ or kv_
	// in any case, and is unique in its store without regard to case.
	Name string

	// SmallValues stores keys and values together: a little faster for values
	// under about 200 bytes, several times slower for long ones. It counts
	// when the table is created; an existing table keeps its form.
	SmallValues bool
}

// Tables declares tables of the ordinary form by name.
func Tables(names ...string) []Table {
	tables := make([]Table, len(names))
	for i, name := range names {
		tables[i].Name = name
	}
	return tables
}

const maxTableName = 64 // bytes

// checkTableName reports why name cannot be a table.
func checkTableName(name string) error {
	if name == "" || len(name) > maxTableName {
		return fmt.Errorf("kvstore: table name %s: must have 1 to %d characters", clip(name), maxTableName)
	}
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		digit := '0' <= c && c <= '9'
		if !letter && (!digit || i == 0) {
			return fmt.Errorf("kvstore: table name %s: must be letters, digits and _, not beginning with a digit", clip(name))
		}
	}
	lower := strings.ToLower(name)
	for _, reserved := range []string{"sqlite_", "kv_"} {
		if strings.HasPrefix(lower, reserved) {
			return fmt.Errorf("kvstore: table name %q: the prefix %s is reserved", name, reserved)
		}
	}
	return nil
}

// quote returns name as an SQL identifier.
func quote(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// table is a declared table with its statements.
type table struct {
	Table
	index int // position in Options.Tables
	sql   [nStatements]string
}

func newTable(t Table, index int) *table {
	tb := &table{Table: t, index: index}
	for id, text := range statements {
		tb.sql[id] = strings.ReplaceAll(text, "{table}", quote(t.Name))
	}
	return tb
}

// floorName is where kv_meta keeps the table's counter floor. Lower case,
// because the file may be opened with the table's name written otherwise.
func (t *table) floorName() string { return "floor." + strings.ToLower(t.Name) }

// statement numbers the statements that every table has.
type statement int

const (
	stmtGet statement = iota
	stmtHead
	stmtInsert
	stmtUpdate
	stmtDelete
	stmtTally
	stmtClear
	stmtDue
	stmtSweep
	stmtKeys
	stmtKeysReverse
	stmtEntries
	stmtEntriesReverse
	nStatements
)

// statements holds their text. An expires_at of 0 or less means never. The
// upper bound of a scan is a BLOB: one with no bytes is above every TEXT key,
// and so stands for "no bound".
var statements = [nStatements]string{
	stmtGet:    `SELECT counter, expires_at, value FROM {table} WHERE key = ?1`,
	stmtHead:   `SELECT counter, expires_at FROM {table} WHERE key = ?1`,
	stmtInsert: `INSERT INTO {table} (key, counter, expires_at, value) VALUES (?1, ?2, ?3, ?4)`,
	stmtUpdate: `UPDATE {table} SET counter = ?2, expires_at = ?3, value = ?4 WHERE key = ?1`,
	stmtDelete: `DELETE FROM {table} WHERE key = ?1`,
	stmtTally: `SELECT count(*) FILTER (WHERE expires_at <= 0 OR expires_at >= ?1), ifnull(max(counter), -1)
		FROM {table}`,
	stmtClear: `DELETE FROM {table}`,
	stmtDue:   `SELECT 1 FROM {table} WHERE expires_at > 0 AND expires_at < ?1 LIMIT 1`,
	stmtSweep: `DELETE FROM {table} WHERE key IN
		(SELECT key FROM {table} WHERE expires_at > 0 AND expires_at < ?1 ORDER BY expires_at LIMIT ?2)
		RETURNING counter, key`,
	stmtKeys:           `SELECT key` + scanRange + `ASC LIMIT ?4`,
	stmtKeysReverse:    `SELECT key` + scanRange + `DESC LIMIT ?4`,
	stmtEntries:        `SELECT key, counter, expires_at, value` + scanRange + `ASC LIMIT ?4`,
	stmtEntriesReverse: `SELECT key, counter, expires_at, value` + scanRange + `DESC LIMIT ?4`,
}

const scanRange = ` FROM {table} WHERE key >= ?1 AND key < ?2
	AND (expires_at <= 0 OR expires_at >= ?3) ORDER BY key `
