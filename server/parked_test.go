package server

import (
	"reflect"
	"testing"
)

// All that a parked connection keeps of ours is a conn, of 512 bytes at most.
func TestParkedConnIsSmall(t *testing.T) {
	if n := reflect.TypeFor[conn]().Size(); n > 512 {
		t.Errorf("%d bytes", n)
	}
}
