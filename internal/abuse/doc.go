// Package abuse treats a server as the internet does: its tests run one in a
// process of its own, with honest clients in another, and abuse it from a third.
// They look at what honest clients notice and at what is left behind.
//
// go test runs a short version. POSTERN_ABUSE=1 makes it the long one, with as many
// clients as the descriptors allow.
package abuse
