package main

import "time"

// comparisons are the lines of the table, with the goals of the project.
var comparisons = []comparison{
	{name: "put, 1 caller, tx each", peer: openNaive, callers: 1, work: put, goal: 0.9},
	{name: "put, 8 callers, tx each", peer: openNaive, callers: 8, work: put, goal: 3.5},
	{name: "put, 64 callers, tx each", peer: openNaive, callers: 64, work: put, goal: 6},
	{name: "put, 8 callers, bbolt Batch", peer: openBolt, callers: 8, work: put, goal: 4},
	{name: "put, 64 callers, bbolt Batch", peer: openBolt, callers: 64, work: put, goal: 1.3},
	{name: "put, 1 caller, +1 ms, tx each", peer: openNaive, callers: 1, work: put, delay: time.Millisecond, goal: 0.9},
	{name: "put, 8 callers, +1 ms, tx each", peer: openNaive, callers: 8, work: put, delay: time.Millisecond, goal: 5},
	{name: "put, 64 callers, +1 ms, tx each", peer: openNaive, callers: 64, work: put, delay: time.Millisecond, goal: 18},
	{name: "get, 1 caller, bbolt View", peer: openBolt, callers: 1, work: get, goal: 0.8},
	{name: "get, 8 callers, bbolt View", peer: openBolt, callers: 8, work: get, goal: 0.5},
	{name: "get, 64 callers, bbolt View", peer: openBolt, callers: 64, work: get, goal: 0.5},
	{name: "get, 1 caller, mapped, bbolt View", open: openMapped, peer: openBolt, callers: 1, work: get, goal: 0.8},
	{name: "get, 8 callers, mapped, bbolt View", open: openMapped, peer: openBolt, callers: 8, work: get, goal: 0.5},
	{name: "get, 8 callers, tx each", peer: openNaive, callers: 8, work: get, goal: 3.5},
}
