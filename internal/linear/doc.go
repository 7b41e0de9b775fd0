// Package linear has tests only: they record what many goroutines ask of one store and
// what they are told, and let a checker look for an order of one-at-a-time transactions
// that explains it, in which what was answered comes before what was asked later.
package linear
