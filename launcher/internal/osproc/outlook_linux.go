package osproc

import (
	"os"
	"strconv"
)

// Outlook returns what the process, which has not been reaped, is about to do. It is at
// rest if it sleeps, or is stopped, and has no children. It is ending if it has begun to
// end, or a signal is about to end it. A process also counts as ending for a moment if
// another thread than its first calls exec. If Outlook cannot read the process's state,
// the process is at rest, and not ending.
func (p *Process) Outlook() (atRest, ending bool) {
	st, err := ReadStat(p.pid)
	if err != nil {
		return true, false
	}
	runs := st.State == 'R' || st.State == 'D'
	return !runs && !hasChildren(p.pid), st.Ending || st.Dead()
}

// hasChildren reports whether a process has children. It reports false if the kernel does
// not list them (CONFIG_PROC_CHILDREN).
func hasChildren(pid int) bool {
	tasks := "/proc/" + strconv.Itoa(pid) + "/task"
	threads, _ := os.ReadDir(tasks)
	var one [1]byte
	for _, t := range threads {
		if n, err := readShort(tasks+"/"+t.Name()+"/children", one[:]); err == nil && n > 0 {
			return true
		}
	}
	return false
}
