package faultvfs

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

type (
	vfs     = lib.Tsqlite3_vfs
	methods = lib.Tsqlite3_io_methods
)

// base is the VFS below ours; set by register.
var base uintptr

// register makes ours the engine's default VFS. It copies the one that was and
// takes over opening and deleting, where paths show which disk is meant.
var register = sync.OnceValue(func() error {
	tls := libc.NewTLS()
	defer tls.Close()
	if base = lib.Xsqlite3_vfs_find(tls, 0); base == 0 {
		return errors.New("the engine has no default VFS")
	}
	name, err := libc.CString("faultvfs")
	if err != nil {
		return err
	}
	p := libc.Xmalloc(tls, libc.Tsize_t(vfsSize)) // like name, never freed: the engine keeps both
	if p == 0 {
		return errors.New("out of memory")
	}
	v := at[vfs](p)
	*v = *at[vfs](base)
	v.FpNext = 0
	v.FzName = name
	v.FszOsFile += int32(fileSize)
	v.FxOpen = address(vfsOpen)
	v.FxDelete = address(vfsDelete)
	if rc := lib.Xsqlite3_vfs_register(tls, p, 1); rc != lib.SQLITE_OK {
		return fmt.Errorf("register: result code %d", rc)
	}
	return nil
})

// file is how the engine sees a file of ours. The file of the VFS below stands
// behind it, in the same memory.
type file struct {
	methods uintptr // where the engine looks for them
	id      uintptr // key in handles
}

// handle is what we know of an open file. The engine uses one from one
// goroutine at a time.
type handle struct {
	disk *Disk
	path string
	node *node // nil unless tracked

	// flushFolder says that the next flush flushes the folder too. The VFS
	// below does so once for each log and journal that it may have created.
	flushFolder bool
}

var (
	handles sync.Map // *handle by file.id, because no Go pointer may lie in the engine's memory
	lastID  atomic.Uintptr
)

func handleOf(p uintptr) *handle {
	h, _ := handles.Load(at[file](p).id)
	return h.(*handle)
}

// below returns the file of the VFS below, and its methods.
func below(p uintptr) (uintptr, *methods) {
	p += fileSize
	return p, at[methods](at[lib.Tsqlite3_file](p).FpMethods)
}

func vfsOpen(tls *libc.TLS, _, name, p uintptr, flags int32, outFlags uintptr) int32 {
	open := function[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](at[vfs](base).FxOpen)
	var d *Disk
	path := ""
	if name != 0 { // else a temporary file
		path = libc.GoString(name)
		d = diskOf(path)
	}
	if d == nil {
		return open(tls, base, name, p, flags, outFlags)
	}
	at[file](p).methods = 0 // nothing to close as long as it is not open
	if rc := d.step(Open, path); rc != lib.SQLITE_OK {
		return rc
	}
	if rc := open(tls, base, name, p+fileSize, flags, outFlags); rc != lib.SQLITE_OK {
		return rc
	}
	h := &handle{disk: d, path: path, node: d.enter(path)}
	h.flushFolder = flags&lib.SQLITE_OPEN_CREATE != 0 &&
		flags&(lib.SQLITE_OPEN_WAL|lib.SQLITE_OPEN_MAIN_JOURNAL|lib.SQLITE_OPEN_SUPER_JOURNAL) != 0
	id := lastID.Add(1)
	handles.Store(id, h)
	*at[file](p) = file{methods: address(&fileMethods), id: id}
	return lib.SQLITE_OK
}

func vfsDelete(tls *libc.TLS, _, name uintptr, flushFolder int32) int32 {
	path := libc.GoString(name)
	d := diskOf(path)
	if d != nil {
		if rc := d.step(Delete, path); rc != lib.SQLITE_OK {
			return rc
		}
	}
	remove := function[func(*libc.TLS, uintptr, uintptr, int32) int32](at[vfs](base).FxDelete)
	rc := remove(tls, base, name, flushFolder)
	if d != nil && rc == lib.SQLITE_OK {
		d.leave(path)
		if flushFolder != 0 && !d.config.Lie {
			d.mu.Lock()
			d.flushFolder()
			d.mu.Unlock()
		}
	}
	return rc
}
