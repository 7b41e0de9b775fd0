package h1_test

import (
	"testing"

	"pgregory.net/rapid"

	"postern/internal/h1test"
)

func TestAgreement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		below := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
		h1test.Agree(t, below, rapid.IntRange(1, 60).Draw(t, "steps"))
	})
}
