//go:build !unix

package ownership

import (
	"errors"
	"io/fs"
	"os"
)

const nonblock = 0

func tryLock(*os.Root, string) (*lock, error) { return nil, errors.ErrUnsupported }

func isLocked(*os.Root, string) (bool, error) { return false, errors.ErrUnsupported }

func checkOwner(fs.FileInfo) error { return errors.ErrUnsupported }

func (l *lock) free() {}
