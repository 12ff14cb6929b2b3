package ownership

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// patience is how long somebody else's handle may hold up a removal: a virus scanner, an
// indexer or a backup has a file open for a moment, and may not share its deletion.
const patience = time.Second

// patiently calls f, and again, until its patience is at an end, if somebody else's handle is
// in its way.
func patiently(f func() error) error {
	for begin, delay := time.Now(), time.Millisecond; ; delay = min(2*delay, 8*time.Millisecond) {
		err := f()
		if !isInTheWay(err) || time.Since(begin)+delay > patience {
			return err
		}
		time.Sleep(delay)
	}
}

// isInTheWay reports whether err may be over in a moment: somebody has the file open, or
// has a file open that was removed from the directory.
func isInTheWay(err error) bool {
	return errors.Is(err, windows.STATUS_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.STATUS_DIRECTORY_NOT_EMPTY)
}

// removeDirectory removes the directory at path, if nothing is in it. While another looks at it,
// his handle keeps it, and if he closes that without removing it, nobody would.
func removeDirectory(path string) {
	_ = patiently(func() error {
		if entries, err := os.ReadDir(path); len(entries) > 0 || err != nil {
			return nil // others are in there, or have removed it
		}
		return os.Remove(path)
	})
}
