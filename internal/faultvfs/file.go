package faultvfs

import (
	"time"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// fileMethods are the methods of a file on a disk. Version 2 has the log's
// index and no memory-mapped reading, which would go around us.
var fileMethods = methods{
	FiVersion:               2,
	FxClose:                 address(fileClose),
	FxRead:                  address(fileRead),
	FxWrite:                 address(fileWrite),
	FxTruncate:              address(fileTruncate),
	FxSync:                  address(fileSync),
	FxFileSize:              address(fileSizeOf),
	FxLock:                  address(fileLock),
	FxUnlock:                address(fileUnlock),
	FxCheckReservedLock:     address(fileCheckReservedLock),
	FxFileControl:           address(fileControl),
	FxSectorSize:            address(fileSectorSize),
	FxDeviceCharacteristics: address(fileCharacteristics),
	FxShmMap:                address(fileShmMap),
	FxShmLock:               address(fileShmLock),
	FxShmBarrier:            address(fileShmBarrier),
	FxShmUnmap:              address(fileShmUnmap),
}

// The types of the engine's methods, by what follows the file.
type (
	plain    = func(*libc.TLS, uintptr) int32
	withInt  = func(*libc.TLS, uintptr, int32) int32
	withPtr  = func(*libc.TLS, uintptr, uintptr) int32
	withSize = func(*libc.TLS, uintptr, int64) int32
	ranged   = func(*libc.TLS, uintptr, uintptr, int32, int64) int32
)

func fileClose(tls *libc.TLS, p uintptr) int32 {
	f, m := below(p)
	handles.Delete(at[file](p).id)
	return function[plain](m.FxClose)(tls, f)
}

func fileRead(tls *libc.TLS, p, buf uintptr, n int32, off int64) int32 {
	h := handleOf(p)
	if rc := h.disk.step(Read, h.path); rc != lib.SQLITE_OK {
		return rc
	}
	f, m := below(p)
	return function[ranged](m.FxRead)(tls, f, buf, n, off)
}

func fileWrite(tls *libc.TLS, p, buf uintptr, n int32, off int64) int32 {
	h := handleOf(p)
	failure := h.disk.step(Write, h.path)
	if failure != lib.SQLITE_OK {
		n /= 2
	}
	if n == 0 {
		return failure
	}
	f, m := below(p)
	if rc := function[ranged](m.FxWrite)(tls, f, buf, n, off); rc != lib.SQLITE_OK {
		return rc
	}
	h.disk.change(h.node, off, bytesAt(buf, n))
	return failure
}

func fileTruncate(tls *libc.TLS, p uintptr, size int64) int32 {
	h := handleOf(p)
	if rc := h.disk.step(Truncate, h.path); rc != lib.SQLITE_OK {
		return rc
	}
	f, m := below(p)
	rc := function[withSize](m.FxTruncate)(tls, f, size)
	if rc == lib.SQLITE_OK {
		h.disk.change(h.node, size, nil)
	}
	return rc
}

func fileSync(tls *libc.TLS, p uintptr, flags int32) int32 {
	h := handleOf(p)
	c := &h.disk.config
	if c.OnSync != nil {
		c.OnSync(h.path, false)
		defer c.OnSync(h.path, true)
	}
	upTo := h.changes()
	rc := h.disk.step(Sync, h.path)
	if rc == lib.SQLITE_OK {
		time.Sleep(c.SyncDelay)
		if !c.Lie && !c.NoFlush {
			f, m := below(p)
			rc = function[withInt](m.FxSync)(tls, f, flags)
		}
	}
	h.flushed(upTo, rc)
	return rc
}

// changes returns how often the file has been changed.
func (h *handle) changes() int {
	if h.node == nil {
		return 0
	}
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return h.node.changes
}

// flushed records how a flush of everything before change number upTo ended.
func (h *handle) flushed(upTo int, rc int32) {
	if h.node == nil || h.disk.config.Lie {
		return
	}
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if rc != lib.SQLITE_OK {
		h.node.doubt(upTo)
		return
	}
	h.node.flush(upTo)
	if h.flushFolder {
		h.disk.flushFolder()
		h.flushFolder = false
	}
}

func fileSizeOf(tls *libc.TLS, p, size uintptr) int32 {
	f, m := below(p)
	return function[withPtr](m.FxFileSize)(tls, f, size)
}

func fileLock(tls *libc.TLS, p uintptr, level int32) int32 {
	h := handleOf(p)
	if rc := h.disk.step(Lock, h.path); rc != lib.SQLITE_OK {
		return rc
	}
	f, m := below(p)
	return function[withInt](m.FxLock)(tls, f, level)
}

func fileUnlock(tls *libc.TLS, p uintptr, level int32) int32 {
	f, m := below(p)
	return function[withInt](m.FxUnlock)(tls, f, level)
}

func fileCheckReservedLock(tls *libc.TLS, p, held uintptr) int32 {
	f, m := below(p)
	return function[withPtr](m.FxCheckReservedLock)(tls, f, held)
}

func fileControl(tls *libc.TLS, p uintptr, op int32, arg uintptr) int32 {
	f, m := below(p)
	return function[func(*libc.TLS, uintptr, int32, uintptr) int32](m.FxFileControl)(tls, f, op, arg)
}

func fileSectorSize(tls *libc.TLS, p uintptr) int32 {
	f, m := below(p)
	return function[plain](m.FxSectorSize)(tls, f)
}

func fileCharacteristics(tls *libc.TLS, p uintptr) int32 {
	f, m := below(p)
	return function[plain](m.FxDeviceCharacteristics)(tls, f)
}

func fileShmMap(tls *libc.TLS, p uintptr, region, size, extend int32, out uintptr) int32 {
	h := handleOf(p)
	if rc := h.disk.step(ShmMap, h.path); rc != lib.SQLITE_OK {
		*at[uintptr](out) = 0
		return rc
	}
	f, m := below(p)
	return function[func(*libc.TLS, uintptr, int32, int32, int32, uintptr) int32](m.FxShmMap)(tls, f, region, size, extend, out)
}

func fileShmLock(tls *libc.TLS, p uintptr, off, n, flags int32) int32 {
	if flags&lib.SQLITE_SHM_LOCK != 0 {
		h := handleOf(p)
		if rc := h.disk.step(ShmLock, h.path); rc != lib.SQLITE_OK {
			return rc
		}
	}
	f, m := below(p)
	return function[func(*libc.TLS, uintptr, int32, int32, int32) int32](m.FxShmLock)(tls, f, off, n, flags)
}

func fileShmBarrier(tls *libc.TLS, p uintptr) {
	f, m := below(p)
	function[func(*libc.TLS, uintptr)](m.FxShmBarrier)(tls, f)
}

func fileShmUnmap(tls *libc.TLS, p uintptr, remove int32) int32 {
	f, m := below(p)
	return function[withInt](m.FxShmUnmap)(tls, f, remove)
}
