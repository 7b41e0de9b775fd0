//go:build !h1_safe

package h1

// marking is whether markBytes is fast.
const marking = true

// markBytes marks the bytes of b from i on that are neither SP nor VCHAR, a window
// at most, and fewer where four in a row tell that a head has ended. In b are 64 bytes at
// least.
//
//go:noescape
func markBytes(m *lineMarks, b []byte, i int)
