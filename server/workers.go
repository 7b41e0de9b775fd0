package server

import "sync"

// workers are goroutines that have served a connection and wait for the next one.
// Their stacks have grown to what handlers take: a new goroutine would have to copy
// its own once or twice, which is a noticeable part of what a connection with a
// single request costs.
type workers struct {
	mu   sync.Mutex
	idle []*worker // the last is the one whose stack was used last
	over bool      // none is to wait any more
}

type worker struct{ next chan *conn }

// maxIdle is how many goroutines wait.
const maxIdle = 256

// serve serves c on a goroutine that waits or a new one. It ends when there are
// enough that wait, or with dismiss.
func (p *workers) serve(c *conn) {
	p.mu.Lock()
	if n := len(p.idle) - 1; n >= 0 {
		w := p.idle[n]
		p.idle = p.idle[:n]
		p.mu.Unlock()
		w.next <- c // does not block: nobody else has w
		return
	}
	p.mu.Unlock()
	w := &worker{make(chan *conn, 1)}
	w.next <- c
	go p.work(w)
}

// work is a worker's goroutine.
func (p *workers) work(w *worker) {
	for {
		c, ok := <-w.next
		if !ok {
			return
		}
		c.serve()
		if !p.keep(w) {
			return
		}
	}
}

// keep reports whether w is to wait.
func (p *workers) keep(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || len(p.idle) == maxIdle {
		return false
	}
	p.idle = append(p.idle, w)
	return true
}

// dismiss ends those that wait, and those that would wait later if the server is
// over.
func (p *workers) dismiss(over bool) {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.over = nil, p.over || over
	p.mu.Unlock()
	for _, w := range idle {
		close(w.next)
	}
}
