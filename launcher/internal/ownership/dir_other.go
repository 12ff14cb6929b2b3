//go:build !unix && !windows

package ownership

import (
	"errors"
	"io/fs"
	"os"
)

type dir struct {
	path string
	fd   int
}

var anywhere = &dir{}

type status struct {
	mode     fs.FileMode
	size     int64
	dev, ino uint64
}

func openDirectory(string) (*dir, status, error) { return nil, status{}, errors.ErrUnsupported }

func (d *dir) close()                             {}
func (d *dir) lstat(string) (status, error)       { return status{}, errors.ErrUnsupported }
func (d *dir) lstatByPath(string) (status, error) { return status{}, errors.ErrUnsupported }
func (d *dir) open(string, int) (*os.File, error) { return nil, errors.ErrUnsupported }
func (d *dir) openFD(string, int) (int, error)    { return -1, errors.ErrUnsupported }
func (d *dir) remove(string) error                { return errors.ErrUnsupported }
func (d *dir) rename(string, string) error        { return errors.ErrUnsupported }
func (d *dir) removeAll(string, status) error     { return errors.ErrUnsupported }
func (d *dir) removeSelf()                        {}

func (d *dir) read(string, int64) ([]byte, status, error) {
	return nil, status{}, errors.ErrUnsupported
}

func entriesOf(string) ([]os.DirEntry, error) { return nil, errors.ErrUnsupported }

type openRecord struct {
	in   *dir
	name string
	fd   int
}

func (r *openRecord) write([]byte) error       { return errors.ErrUnsupported }
func (r *openRecord) isThere() (bool, error)   { return false, errors.ErrUnsupported }
func (r *openRecord) isInPlace() (bool, error) { return false, errors.ErrUnsupported }

func fileStatus(*os.File) (status, error) { return status{}, errors.ErrUnsupported }

func (s status) same(status) bool     { return false }
func (s status) checkOwner(int) error { return errors.ErrUnsupported }

func (s status) isRoot(*os.Root) (bool, error) { return false, errors.ErrUnsupported }

func isMissing(error) bool  { return false }
func isNotEmpty(error) bool { return false }

func sameName(a, b string) bool { return a == b }

func groupOf() int   { return 0 }
func sessionOf() int { return 0 }

func closeFD(int) {}

func unlockFD(int) {}

// ownerOf cannot tell.
func ownerOf(fs.FileInfo) string { return "" }
