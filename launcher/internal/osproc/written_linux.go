package osproc

import (
	"os"
	"strconv"
	"strings"
)

// BytesWritten returns how many bytes the process has written, wherever they went, with
// those of its children that have ended and were waited for. ok is false where the kernel
// does not count them (CONFIG_TASK_XACCT), or not for us.
func BytesWritten(pid int) (count int64, ok bool) {
	if pid <= 0 {
		return 0, false
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/io")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if n, found := strings.CutPrefix(line, "wchar: "); found {
			count, err = strconv.ParseInt(strings.TrimSpace(n), 10, 64)
			return count, err == nil
		}
	}
	return 0, false
}
