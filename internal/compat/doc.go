// Package compat holds no code: its tests serve well-known net/http products once
// with package net/http and once with postern, act as the same client against
// both, and compare everything that the client and the product have seen.
package compat
