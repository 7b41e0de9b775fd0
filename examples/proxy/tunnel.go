package main

import "io"

// tunnel carries the bytes of another protocol both ways, those first that were read
// behind the heads. It ends when both sides have, when one is broken, or when
// nothing has come for p.idle from either.
func (p *pair) tunnel() {
	back := make(chan struct{})
	go func() { // ends with either connection
		defer close(back)
		p.carry(&p.down, &p.up)
	}()
	p.carry(&p.up, &p.down)
	<-back
}

// carry carries the bytes of one direction.
func (p *pair) carry(to, from *link) {
	for {
		unread := from.in.Unread()
		if to.write(unread, p.timeout) != nil {
			break
		}
		from.in.Consumed(len(unread))
		p.locked(func() { // bytes of either side keep both waiting
			_ = p.down.wait(p.idle)
			_ = p.up.wait(p.idle)
		})
		err := from.read()
		if err == io.EOF && to.closeWrite() == nil {
			return // the other direction goes on
		}
		if err != nil {
			break
		}
	}
	_ = p.up.Close()
	_ = p.down.Close()
}
