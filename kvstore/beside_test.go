package kvstore_test

import (
	"fmt"
	"testing"

	"postern/kvstore"
)

// Stores that are opened and closed leave those alone that are read meanwhile. A
// binding that writes to stray memory shows here within a few opens.
func TestOpeningBesideReads(t *testing.T) {
	s := openFile(t, options())
	ctx := watchdog(t)
	for i := range 4 {
		s.Add(ctx, "t", fmt.Sprint(i), []byte("v"))
	}
	stop, ended := make(chan struct{}), make(chan error, 2)
	for range 2 {
		go func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					ended <- nil
					return
				default:
				}
				if _, found, err := s.Get(ctx, "t", fmt.Sprint(n%4)); !found || err != nil {
					ended <- fmt.Errorf("read %d: found %v, %v", n, found, err)
					return
				}
			}
		}()
	}
	for range 300 {
		other, err := kvstore.OpenMemory(options())
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	for range 2 {
		if err := receive(t, ctx, ended); err != nil {
			t.Error(err)
		}
	}
}
