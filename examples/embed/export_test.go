package main

// Serve speaks HTTP on one connection.
var Serve = serve
