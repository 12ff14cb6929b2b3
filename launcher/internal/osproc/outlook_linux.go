package osproc

import (
	"os"
	"strconv"
)

// Outlook returns what the process, which has not been reaped, is about to do. It runs unless
// it sleeps, or is stopped. It is ending if it has begun to end, or a signal is about to end
// it. A process also counts as ending for a moment if another thread than its first calls
// exec. If Outlook cannot read the process's state, it does not run, and is not ending.
func (p *Process) Outlook() (runs, ending bool) {
	st, err := ReadStat(p.pid)
	if err != nil {
		return false, false
	}
	return st.State == 'R' || st.State == 'D', st.Ending || st.Dead()
}

// HasChildren reports whether the process, which has not been reaped, has children. It reports
// false if the kernel does not list them (CONFIG_PROC_CHILDREN).
func (p *Process) HasChildren() bool {
	tasks := "/proc/" + strconv.Itoa(p.pid) + "/task"
	threads, _ := os.ReadDir(tasks)
	var one [1]byte
	for _, t := range threads {
		if n, err := readShort(tasks+"/"+t.Name()+"/children", one[:]); err == nil && n > 0 {
			return true
		}
	}
	return false
}
