package main

// Main is the program; Run is the same without its process.
var (
	Main = main
	Run  = run
)
