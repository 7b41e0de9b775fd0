package kvstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	lib "modernc.org/sqlite/lib"

	"postern/internal/faultvfs"
	"postern/kvstore"
)

// blackout writes pairs to stores on a disk from which the power may be taken
// at any time, and keeps what the disk may hold then.
type blackout struct {
	folder  string // for the images
	config  faultvfs.Config
	options kvstore.Options
	rng     *rand.Rand

	mu       sync.Mutex
	disk     *faultvfs.Disk
	wanted   int      // images still to take
	answered []string // names of the pairs, in the order of their answers
	images   []image
}

// image is what is left after a power cut.
type image struct {
	path     string   // of the store's file
	answered []string // before the cut
}

func newBlackout(t *testing.T, d kvstore.Durability) *blackout {
	o := options()
	o.Durability = d
	o.CheckpointPages = 15 // every few commits, so that all its steps are met
	if d == kvstore.OSBuffered {
		o.CheckpointPages = 60 // checkpoints flush; between them much is at stake
	}
	return &blackout{
		folder:  t.TempDir(),
		config:  faultvfs.Config{Track: true, NoFlush: true},
		options: o,
		rng:     rand.New(rand.NewPCG(1, uint64(d))),
	}
}

// writers is how many goroutines write at once.
const writers = 4

// betweenFlushes is of how many answers to a writer one is followed by a power
// cut, apart from those at flushes.
const betweenFlushes = 4

// generation opens the store in dir, which is where the last power cut left it
// or a new folder, writes until it has taken so many more images, and closes.
func (b *blackout) generation(ctx context.Context, number int, dir string, images int) error {
	b.config.OnSync = func(string, bool) { b.cut() }
	disk, err := faultvfs.Mount(dir, b.config)
	if err != nil {
		return err
	}
	defer disk.Unmount()
	b.mu.Lock()
	b.disk, b.wanted = disk, images
	b.mu.Unlock()

	s, err := kvstore.Open(filepath.Join(dir, "store.db"), b.options)
	if err != nil {
		return err
	}
	failures := make(chan error, writers)
	for w := range writers {
		go func() { failures <- b.write(ctx, s, fmt.Sprintf("%d.%d", number, w)) }()
	}
	for range writers {
		if failed := <-failures; err == nil {
			err = failed
		}
	}
	return errors.Join(err, s.Close(ctx))
}

// write writes pairs until there are enough images.
func (b *blackout) write(ctx context.Context, s *kvstore.Store, writer string) error {
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s.%d", writer, i)
		err := s.Execute(ctx, func(tx *kvstore.Tx) error { return enterPair(tx, name) })
		b.mu.Lock()
		if err == nil {
			b.answered = append(b.answered, name)
		}
		enough := b.wanted <= 0
		b.mu.Unlock()
		if i%betweenFlushes == 0 {
			b.cut()
		}
		if err != nil || enough {
			return err
		}
	}
}

// cut takes an image, if more are wanted.
func (b *blackout) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wanted <= 0 {
		return
	}
	b.wanted--
	if err := b.take(); err != nil {
		b.wanted = 0
		b.images = append(b.images, image{path: err.Error()}) // does not open
	}
}

// take takes an image.
func (b *blackout) take() error {
	dir, err := os.MkdirTemp(b.folder, "")
	if err != nil {
		return err
	}
	b.images = append(b.images, image{filepath.Join(dir, "store.db"), slices.Clone(b.answered)})
	return b.disk.Image(dir, b.rng)
}

// check opens the image and returns how many of the answered pairs are lost,
// and what else cannot be.
func (im image) check(ctx context.Context) (lost int, err error) {
	s, err := kvstore.Open(im.path, options())
	if err != nil {
		return 0, err
	}
	present, err := readPairs(ctx, s)
	if err == nil {
		err = s.Execute(ctx, func(tx *kvstore.Tx) error { return enterPair(tx, "after") })
	}
	if err = errors.Join(err, s.Close(ctx)); err != nil {
		return 0, err
	}
	for _, name := range im.answered {
		if !present[name] {
			lost++
		}
	}
	return lost, wholePast(present)
}

// wholePast reports a pair that is there without one that its writer had been
// answered before it began.
func wholePast(present map[string]bool) error {
	count, last := map[string]int{}, map[string]int{}
	for name := range present {
		var generation, writer, i int
		if _, err := fmt.Sscanf(name, "%d.%d.%d", &generation, &writer, &i); err != nil {
			return fmt.Errorf("nobody wrote %q", name)
		}
		key := fmt.Sprintf("%d.%d", generation, writer)
		count[key]++
		last[key] = max(last[key], i)
	}
	for _, key := range slices.Sorted(maps.Keys(count)) {
		if count[key] != last[key]+1 {
			return fmt.Errorf("writer %s has a gap: %d pairs up to number %d", key, count[key], last[key])
		}
	}
	return nil
}

// copyImage copies an image, since checking one changes it.
func copyImage(t *testing.T, im image) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(im.path))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A power cut loses nothing that was answered, and never a part of a pair;
// with OSBuffered it may lose the last of them. Each generation goes on from
// what the one before left after a cut, so recovery is cut off too.
func TestPowerLoss(t *testing.T) {
	for _, c := range []struct {
		name        string
		durability  kvstore.Durability
		generations int
		images      int // of each generation
	}{
		{"durable", kvstore.Durable, 6, 25},
		{"OS buffered", kvstore.OSBuffered, 3, 25},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := watchdog(t)
			b := newBlackout(t, c.durability)
			dir, lostPairs, lossy := t.TempDir(), 0, 0
			for g := range c.generations {
				first := len(b.images)
				if err := within(t, ctx, func() error { return b.generation(ctx, g, dir, c.images) }); err != nil {
					t.Fatalf("generation %d: %v", g, err)
				}
				if n := len(b.images) - first; n != c.images {
					t.Fatalf("generation %d: %d images, want %d", g, n, c.images)
				}
				next := b.images[first+b.rng.IntN(c.images)]
				dir = copyImage(t, next)
				for i, im := range b.images[first:] {
					lost, err := im.check(ctx)
					if err != nil {
						t.Errorf("generation %d, image %d: %v", g, i, err)
					}
					if lost > 0 {
						lossy++
						lostPairs += lost
					}
				}
				// What came after that cut has not happened.
				b.answered = next.answered
				if c.durability == kvstore.OSBuffered {
					b.answered = nil // and some of what came before may be lost
				}
			}
			t.Logf("%d images, %d of them without %d answered pairs", len(b.images), lossy, lostPairs)
			if c.durability == kvstore.Durable && lostPairs > 0 {
				t.Errorf("%d answered pairs are lost, in %d of %d images", lostPairs, lossy, len(b.images))
			}
			if c.durability == kvstore.OSBuffered && lostPairs == 0 {
				t.Error("nothing is lost: the disk is too good to prove anything")
			}
		})
	}
}

// The test above can fail: on a disk that does not flush, what was answered
// is lost.
func TestPowerLossOnALyingDisk(t *testing.T) {
	ctx := watchdog(t)
	b := newBlackout(t, kvstore.Durable)
	b.config.Lie = true
	if err := within(t, ctx, func() error { return b.generation(ctx, 0, t.TempDir(), 40) }); err != nil {
		t.Fatal(err)
	}
	lossy, damaged := 0, 0
	for _, im := range b.images {
		lost, err := im.check(ctx)
		if lost > 0 {
			lossy++
		}
		if err != nil {
			damaged++
		}
	}
	t.Logf("%d images, %d without answered pairs, %d damaged", len(b.images), lossy, damaged)
	if lossy+damaged < len(b.images)/4 {
		t.Errorf("the checks found faults in %d of %d images", lossy+damaged, len(b.images))
	}
}

// A flush has failed, the store has stopped and is closed, and the power goes
// at any time. The system may have forgotten what it could not flush: no later
// flush makes that good.
func TestPowerLossAfterAFailedFlush(t *testing.T) {
	for _, suffix := range []string{"-wal", ".db"} {
		for n := 1; n <= 4; n++ {
			t.Run(fmt.Sprint(suffix, n), func(t *testing.T) {
				ctx := watchdog(t)
				b := newBlackout(t, kvstore.Durable)
				b.config.OnSync = func(string, bool) { b.cut() } // in Close too, if it flushes
				path := filepath.Join(t.TempDir(), "store.db")
				disk, err := faultvfs.Mount(filepath.Dir(path), b.config)
				if err != nil {
					t.Fatal(err)
				}
				defer disk.Unmount()
				b.disk, b.wanted = disk, 1<<30 // so that the writers go on
				s := openPath(t, path, b.options)
				disk.Inject(faultvfs.Fault{Op: faultvfs.Sync, Suffix: suffix, N: n, Code: lib.SQLITE_IOERR_FSYNC})
				done := make(chan error, writers)
				for w := range writers {
					go func() { done <- b.write(ctx, s, fmt.Sprint("0.", w)) }()
				}
				for range writers {
					wantErr(t, "writer", receive(t, ctx, done), kvstore.ErrStopped)
				}
				if err := s.Close(ctx); err != nil {
					t.Errorf("close: %v", err)
				}
				for range 10 {
					if err := b.take(); err != nil {
						t.Fatal(err)
					}
				}
				for i, im := range b.images {
					if lost, err := im.check(ctx); lost > 0 || err != nil {
						t.Errorf("image %d: %d answered pairs lost, %v", i, lost, err)
					}
				}
			})
		}
	}
}

// within runs fn and fails the test if it hangs.
func within(t *testing.T, ctx context.Context, fn func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- fn() }()
	return receive(t, ctx, done)
}
