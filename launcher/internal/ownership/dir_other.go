//go:build !unix

package ownership

import (
	"errors"
	"io/fs"
	"os"
)

const nonblock = 0

type dir struct{ path string }

var anywhere = &dir{}

type status struct {
	mode fs.FileMode
	size int64
	ino  uint64
}

func openDirectory(string) (*dir, status, error) { return nil, status{}, errors.ErrUnsupported }

func (d *dir) close()                             {}
func (d *dir) lstat(string) (status, error)       { return status{}, errors.ErrUnsupported }
func (d *dir) open(string, int) (*os.File, error) { return nil, errors.ErrUnsupported }
func (d *dir) add(string, status, []byte, func() error) error {
	return errors.ErrUnsupported
}
func (d *dir) remove(string) error { return errors.ErrUnsupported }

func fileStatus(*os.File) (status, error) { return status{}, errors.ErrUnsupported }

func (s status) same(status) bool    { return false }
func (s status) checkOwner() error   { return errors.ErrUnsupported }
func (s status) is(fs.FileInfo) bool { return false }
