// Package testenv is what the tests of net/http use of internal/testenv.
package testenv

import "testing"

// Builder returns the name of the machine that tests Go itself: none.
func Builder() string { return "" }

// SkipFlaky skips a test that fails now and then.
func SkipFlaky(t testing.TB, issue int) {
	t.Helper()
	t.Skipf("flaky: golang.org/issue/%d", issue)
}
