//go:build !windows

package conformance

import (
	"os"
	"path/filepath"
	"runtime"
)

// descriptorDir lists the open descriptors, on systems that have it.
const descriptorDir = "/dev/fd"

// descriptors returns a thing for each, without those that the runtime opens once
// and keeps.
func descriptors() (found []thing) {
	entries, err := os.ReadDir(descriptorDir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		text := "descriptor " + e.Name()
		to, err := os.Readlink(filepath.Join(descriptorDir, e.Name()))
		if err == nil { // else it is the directory's own, or no link on this system
			text += " → " + to
		} else if runtime.GOOS == "linux" {
			continue
		}
		if to != "anon_inode:[eventpoll]" && to != "anon_inode:[eventfd]" {
			found = append(found, thing{text, text})
		}
	}
	return found
}

// openDescriptors counts this process's, where the system can tell; else it
// returns 0.
func openDescriptors() int {
	entries, err := os.ReadDir(descriptorDir)
	if err != nil {
		return 0
	}
	return len(entries)
}
