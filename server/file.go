package server

import (
	"fmt"
	"io"
	"io/fs"
	"mime"
	"path"
)

// File answers 200 with the rest of a file, which is closed by the engine as by
// Reader. Its bytes go from file to socket where the system can do that. Without a
// content type it is that of the name's extension. A directory, or a file that
// cannot be asked for its size, is an error.
func File(contentType string, f fs.File) Response {
	n, err := fileSize(f)
	if err != nil {
		_ = f.Close() // the first error says more
		return Err(err)
	}
	if info, err := f.Stat(); err == nil && contentType == "" {
		contentType = mime.TypeByExtension(path.Ext(info.Name()))
	}
	return Reader(contentType, f, n)
}

// fileSize returns how many bytes f has left.
func fileSize(f fs.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("server: file: %w", err)
	}
	if info.IsDir() {
		return 0, fmt.Errorf("server: file %s is a directory", info.Name())
	}
	if s, ok := f.(io.Seeker); ok {
		at, err := s.Seek(0, io.SeekCurrent)
		if err == nil {
			return max(info.Size()-at, 0), nil
		}
	}
	return info.Size(), nil
}
