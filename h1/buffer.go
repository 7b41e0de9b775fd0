package h1

// Buffer holds input between reading it and Next, for those who have no buffer of
// their own. It does no I/O: read into Free, tell how much came with Filled, give
// Unread to Next, and tell what that took with Consumed.
//
//	ev, n, err := conn.Next(b.Unread())
//	b.Consumed(n)
//	…
//	case h1.EventNeedData:
//		m, err := c.Read(b.Free(4096))
//		b.Filled(m)
//
// When it is filled only after EventNeedData it holds at most one incomplete head,
// so Config.MaxHead bounds its size. The zero value is empty and ready for use. A
// Buffer is not safe for concurrent use.
type Buffer struct {
	mem  []byte
	r, w int // mem[r:w] is unread
}

// Reset makes b empty. It will use mem, all of it up to its capacity, until it needs
// more; nil keeps the memory that b has.
func (b *Buffer) Reset(mem []byte) {
	if mem != nil {
		b.mem = mem[:cap(mem)]
	}
	b.r, b.w = 0, 0
}

// Unread returns the bytes that were filled and not consumed. They are valid until
// Free or Reset.
func (b *Buffer) Unread() []byte { return b.mem[b.r:b.w] }

// Consumed drops the first n unread bytes. They stay where they are until Free.
func (b *Buffer) Consumed(n int) { b.r += n }

// Free returns at least n bytes of room behind the unread ones, which it may move,
// over consumed bytes too: event data and the views of heads end here.
func (b *Buffer) Free(n int) []byte {
	switch {
	case b.r == b.w:
		b.r, b.w = 0, 0
	case len(b.mem)-b.w < n:
		b.r, b.w = 0, copy(b.mem, b.mem[b.r:b.w])
	}
	if len(b.mem)-b.w < n {
		mem := make([]byte, max(2*len(b.mem), b.w+n))
		copy(mem, b.mem[:b.w])
		b.mem = mem
	}
	return b.mem[b.w:]
}

// Filled tells that the first n bytes of what Free returned hold input now.
func (b *Buffer) Filled(n int) { b.w += n }
