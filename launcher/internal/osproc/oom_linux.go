package osproc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// A MemoryKills is how many processes of this program's cgroup the kernel had ended for
// want of memory at some moment. Those of a child that stays in this cgroup are among
// them. The zero value knows nothing.
type MemoryKills struct {
	file  string // that counts them; empty: none does
	count int
}

// CountMemoryKills counts them now, for a process that has just started. elsewhere says
// that it is in another cgroup of version 2. This program's own tells nothing about that.
func CountMemoryKills(elsewhere bool) MemoryKills {
	file := memoryFile()
	if elsewhere && filepath.Base(file) == memoryEvents {
		return MemoryKills{}
	}
	count, ok := memoryKillsIn(file)
	if !ok {
		return MemoryKills{}
	}
	return MemoryKills{file, count}
}

// memoryFile is the file that counts them. This program is seldom moved to another cgroup.
var memoryFile = sync.OnceValue(findMemoryFile)

// Note says how many it has ended since then; "" if none, or if that is not known.
func (m MemoryKills) Note() string {
	now, ok := memoryKillsIn(m.file)
	if !ok || now <= m.count || findMemoryFile() != m.file {
		return ""
	}
	processes := fmt.Sprintf("%d processes", now-m.count)
	if now-m.count == 1 {
		processes = "a process"
	}
	return fmt.Sprintf("the kernel has killed %s for lack of memory since the start, in the cgroup that the pod shares with its launcher (oom_kill in %q)", processes, m.file)
}

// memoryEvents is the file of a cgroup of version 2.
const memoryEvents = "memory.events"

// findMemoryFile returns the file that counts the kills in this program's cgroup, in
// version 1 or 2, or in the nearest one above it for which the memory controller is on;
// "" if there is none.
func findMemoryFile() string {
	groups, table, err := readCgroups("self")
	if err != nil {
		return ""
	}
	if dir, ok := controllerIn(groups, table, "memory"); ok {
		return existing(filepath.Join(dir, "memory.oom_control"))
	}
	own, err := cgroupIn(groups, table)
	if err != nil {
		return ""
	}
	for dir := own; ; dir = filepath.Dir(dir) {
		if is, err := isCgroup2(dir); err != nil || !is {
			return ""
		}
		if file := existing(filepath.Join(dir, memoryEvents)); file != "" {
			return file
		}
	}
}

func existing(file string) string {
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return file
}

// controllerIn returns the directory of version 1 where a controller has the process with
// these groups, by what the kernel says of them and of the mounts.
func controllerIn(groups, table, controller string) (dir string, ok bool) {
	var own string
	for line := range strings.Lines(groups) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) == 3 && hasWord(f[1], controller) {
			own = f[2]
		}
	}
	if own == "" {
		return "", false
	}
	return mountedAt(table, own, func(filesystem []string) bool {
		return len(filesystem) >= 3 && filesystem[0] == "cgroup" && hasWord(filesystem[2], controller)
	})
}

// hasWord reports whether word is one of list, in which commas are between them.
func hasWord(list, word string) bool { return strings.Contains(","+list+",", ","+word+",") }

// memoryKillsIn returns the number that file has for oom_kill. Before Linux 4.13 there is
// none.
func memoryKillsIn(file string) (count int, ok bool) {
	if file == "" {
		return 0, false
	}
	var text [1 << 10]byte
	size, err := readShort(file, text[:])
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text[:size])) {
		if n, found := strings.CutPrefix(line, "oom_kill "); found {
			count, err = strconv.Atoi(strings.TrimSpace(n))
			return count, err == nil
		}
	}
	return 0, false
}
