package conformance

import (
	"os"
	"strings"
)

// ofTheSystem returns those of the surroundings that proc(5) tells.
func ofTheSystem() map[string]string {
	all := make(map[string]string)
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		switch name, value, _ := strings.Cut(line, ":"); name {
		case "Umask", "SigIgn":
			all[name+" in /proc/self/status"] = strings.TrimSpace(value)
		}
	}
	limits, _ := os.ReadFile("/proc/self/limits")
	for line := range strings.Lines(string(limits)) {
		if name, value, ok := strings.Cut(line, "  "); ok {
			all[name+" in /proc/self/limits"] = strings.Join(strings.Fields(value), " ")
		}
	}
	adj, _ := os.ReadFile("/proc/self/oom_score_adj")
	all["/proc/self/oom_score_adj"] = strings.TrimSpace(string(adj))
	return all
}
