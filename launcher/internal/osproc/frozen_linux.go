package osproc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// frozenNote says that the process does nothing because a cgroup is frozen in which it is,
// of version 1 or 2; "" if none is, or if that cannot be seen.
func frozenNote(pid int) string {
	groups, table, err := readCgroups(strconv.Itoa(pid))
	if err != nil {
		return ""
	}
	if dir, ok := controllerIn(groups, table, "freezer"); ok {
		state, _ := os.ReadFile(filepath.Join(dir, "freezer.state"))
		if s := strings.TrimSpace(string(state)); s == "FROZEN" || s == "FREEZING" {
			return fmt.Sprintf("its cgroup %q is frozen (freezer.state)", dir)
		}
	}
	if dir, err := cgroupIn(groups, table); err == nil {
		return (&Cgroup{path: dir}).frozenNote()
	}
	return ""
}
