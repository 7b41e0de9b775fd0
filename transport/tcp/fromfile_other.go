//go:build !unix || aix || solaris

package tcp

import (
	"errors"
	"os"
)

func fromFile(*os.File, Config) (listener, error) { return nil, errors.ErrUnsupported }
