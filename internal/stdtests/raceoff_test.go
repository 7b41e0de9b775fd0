//go:build !race

package stdtests

const raceEnabled = false
