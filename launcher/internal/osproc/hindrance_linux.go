package osproc

import (
	"fmt"
	"strings"
)

// Hindrance says in a few words what may keep a process from ending that was sent SIGKILL. It
// is empty if nothing of the kind is known.
func Hindrance(pid int) string {
	status := statusOf(pid)
	if tracer := numbersOf(status, "TracerPid:"); len(tracer) == 1 && tracer[0] > 0 { // a thread
		process := append(numbersOf(statusOf(tracer[0]), "Tgid:"), tracer[0])[0]
		return fmt.Sprintf("process %d, %s, traces it", process, CommandName(process))
	}
	if strings.Contains(status, "\nState:\tD") {
		return "it waits in the kernel, as for a disk"
	}
	return ""
}
