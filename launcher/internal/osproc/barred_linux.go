package osproc

import (
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// BarredFrom reports whether the process runs as another user than root, to whom the mode of
// dir gives no right to enter it, and which user that is. What cannot be seen bars nobody.
func BarredFrom(pid int, dir string) (uid int, mode fs.FileMode, barred bool) {
	if pid <= 0 {
		return 0, 0, false
	}
	status := statusOf(pid)
	fi, err := os.Stat(dir)
	if err != nil {
		return 0, 0, false
	}
	owner, ok := fi.Sys().(*syscall.Stat_t)
	uids, gids := numbersOf(status, "Uid:"), numbersOf(status, "Gid:")
	if !ok || len(uids) != 4 || len(gids) != 4 || uids[1] == 0 {
		return 0, 0, false
	}
	const effective, ofFiles = 1, 3
	mode = fi.Mode().Perm()
	enter := mode & 0o001
	switch {
	case uids[ofFiles] == int(owner.Uid):
		enter = mode & 0o100
	case gids[ofFiles] == int(owner.Gid) || slices.Contains(numbersOf(status, "Groups:"), int(owner.Gid)):
		enter = mode & 0o010
	}
	return uids[effective], mode, enter == 0
}

// numbersOf returns the numbers in the line of status that begins with key.
func numbersOf(status, key string) (numbers []int) {
	for line := range strings.Lines(status) {
		rest, found := strings.CutPrefix(line, key)
		if !found {
			continue
		}
		for _, f := range strings.Fields(rest) {
			n, err := strconv.Atoi(f)
			if err != nil {
				return nil
			}
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// statusOf returns what is in /proc/PID/status; nothing if that cannot be read.
func statusOf(pid int) string {
	data, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	return string(data)
}
