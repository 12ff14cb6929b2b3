package logsource

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"

	"github.com/google/uuid"
)

// replaceTries is how often replace tries where other launches of the name do the same.
const replaceTries = 10

// replace gives the file name below root the name to, in place of what has that. Where that
// is open, a rename onto it fails on file systems other than NTFS, before Windows 10 1709,
// and under Wine 8 (FILE_RENAME_INFORMATION, POSIX semantics). So replace then moves it to a
// name of its own and removes it there. The system keeps that name until the last handle is
// closed. A program that ends in between leaves the file behind.
func replace(root *os.Root, name, to string) error {
	for tries := 1; ; tries++ {
		err := root.Rename(name, to)
		inUse := errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_SHARING_VIOLATION)
		if !inUse || tries == replaceTries {
			return err
		}
		aside := "." + uuid.NewString()
		switch moveErr := root.Rename(to, aside); {
		case errors.Is(moveErr, fs.ErrNotExist):
			continue // another launch was faster
		case moveErr != nil:
			return err
		}
		// By its path: Wine 8 knows no other way to remove a file.
		if err := os.Remove(filepath.Join(root.Name(), aside)); err != nil {
			return err
		}
	}
}
