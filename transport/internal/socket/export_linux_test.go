package socket

// Parked reports whether Pump waits for readiness.
func (c *Conn) Parked() bool { return c.state.Load()&parked != 0 }

// HangupUsers returns how many listeners and connections use the hang-up set.
func HangupUsers() int {
	hangups.mu.Lock()
	defer hangups.mu.Unlock()
	return hangups.users
}
