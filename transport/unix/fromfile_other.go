//go:build !unix || aix || solaris

package unix

import (
	"errors"
	"os"
)

func fromFile(*os.File) (listener, error) { return nil, errors.ErrUnsupported }
