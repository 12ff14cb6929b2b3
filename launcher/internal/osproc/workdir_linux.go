package osproc

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// WorkDirIsGone reports whether the working directory of a process was removed. If that
// is not ours to see, it says no. The link's text is the kernel's, and its filesystem is
// asked only about a name that ends as the kernel has it.
func WorkDirIsGone(pid int) bool {
	link := "/proc/" + strconv.Itoa(pid) + "/cwd"
	path, err := os.Readlink(link)
	if err != nil || !strings.HasSuffix(path, " (deleted)") {
		return false
	}
	is, err := os.Stat(link)
	if err != nil {
		return false
	}
	named, err := os.Lstat(path) // it may be called so
	return errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(is, named)
}
