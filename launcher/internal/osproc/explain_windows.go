package osproc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/windows"
)

// explainStart says what the error of the start of c means for the program.
func explainStart(err error, c Command) error {
	err = &fs.PathError{Op: "exec", Path: c.Path, Err: err}
	switch {
	case c.Dir != "" && MayEnter(c.Dir) != nil:
		return fmt.Errorf("%w: the working directory %q cannot be entered any more", err, c.Dir)
	case errors.Is(err, windows.ERROR_BAD_EXE_FORMAT):
		if fi, statErr := os.Stat(c.Path); statErr == nil && fi.Size() == 0 {
			return fmt.Errorf("%w: the file is empty", err)
		}
		return fmt.Errorf("%w: it is no program for %s/%s", err, runtime.GOOS, runtime.GOARCH)
	case errors.Is(err, windows.ERROR_FILENAME_EXCED_RANGE):
		return fmt.Errorf("%w: the path or the arguments are too long", err)
	case errors.Is(err, windows.ERROR_ELEVATION_REQUIRED):
		return fmt.Errorf("%w: the program wants the rights of an administrator", err)
	case errors.Is(err, windows.ERROR_SHARING_VIOLATION):
		return fmt.Errorf("%w: somebody has the program open for writing", err)
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return fmt.Errorf("%w: it is not executable for us, or the job that this program is in allows no job inside", err)
	}
	return err
}

// MayEnter returns nil if a process of ours can be in dir.
func MayEnter(dir string) error {
	fi, err := os.Stat(dir)
	if err == nil && !fi.IsDir() {
		err = &fs.PathError{Op: "enter", Path: dir, Err: windows.ERROR_DIRECTORY}
	}
	return err
}

// IsFull reports whether there is no space left for us on the volume that the file at path
// is on.
func IsFull(path string) bool {
	for _, try := range []string{path, filepath.Dir(path)} { // GetDiskFreeSpaceEx wants a directory
		name, err := windows.UTF16PtrFromString(try)
		if err != nil {
			return false
		}
		var free, total, all uint64
		if err := windows.GetDiskFreeSpaceEx(name, &free, &total, &all); err == nil {
			return free == 0
		}
	}
	return false
}
