package main

import (
	"postern/kvstore"
	"postern/server"
)

// Run is the program without its process.
var Run = run

// Handler is what the program answers with, on a store of the test's.
func Handler(store *kvstore.Store) server.Handler { return app{store}.handle }

// Table is where it keeps its items.
const Table = table
