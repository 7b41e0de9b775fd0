package kvstore_test

import (
	"testing"

	lib "modernc.org/sqlite/lib"
)

// The engine's version is this module's decision and not its binding's: go.mod
// requires it directly, and this import keeps that line. What is measured and
// tested was measured and tested with this version; change it knowingly.
func TestEngineVersion(t *testing.T) {
	if got, want := lib.SQLITE_VERSION, "3.53.4"; got != want {
		t.Errorf("SQLite %s, want %s", got, want)
	}
}
