package readiness

import (
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// clearPIDFile removes the pid file that an earlier run has left at path, and which names
// nobody: many programs refuse to start because of one. It removes only a regular file of this
// user, or of anybody if we are root, that holds one number and nothing else. No process may
// have that number, or only a zombie. It leaves what it cannot check or remove to the program.
//
// It looks twice whether the file is still the same one. In the moment between the second
// look and the removal somebody else's daemon may write its pid there, and loses the file. It
// also loses it if it lives in another pid namespace, where the number means another process.
// The pod would write over the file of such a daemon anyway.
func clearPIDFile(path string) {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return
	}
	defer dir.Close()
	name := filepath.Base(path)
	before, err := dir.Lstat(name)
	if err != nil || !before.Mode().IsRegular() || !isOurs(before) && os.Geteuid() != 0 {
		return
	}
	if f, err := dir.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0); err == nil {
		is, err := f.Stat()
		named := err == nil && os.SameFile(before, is) && namesNobody(f)
		f.Close()
		now, err := dir.Lstat(name)
		if named && err == nil && os.SameFile(before, now) && now.ModTime().Equal(before.ModTime()) && now.Size() == before.Size() {
			_ = dir.Remove(name)
		}
	}
}

// namesNobody reports whether f holds the number of a process that has ended, and nothing else.
func namesNobody(f io.Reader) bool {
	const most = 32
	content, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil || len(content) == most {
		return false
	}
	pid, err := strconv.ParseUint(pidText(content), 10, 31)
	return err == nil && pid > 0 && hasEnded(int(pid))
}
