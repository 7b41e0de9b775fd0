package storetest_test

import (
	"testing"
	"time"

	"postern/kvstore/storetest"
)

// The model must pass what it is the measure for.
func TestModel(t *testing.T) {
	storetest.Run(t, storetest.Engine{
		Volatile: true,
		Open: func(_ string, clock func() time.Time) (storetest.Store, error) {
			return storetest.NewModel(storetest.Tables(), clock), nil
		},
	})
}
