package osproc

import (
	"os"
	"strings"
)

// MountsBelow returns where something is mounted at dir or below it, in this program's
// mount namespace. dir is absolute, and has no symbolic link in it.
func MountsBelow(dir string) ([]string, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return mountsBelow(string(table), dir), nil
}

// mountinfo writes what would break its fields in octal (proc_pid_mountinfo(5)).
var mountPath = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func mountsBelow(table, dir string) []string {
	var mounts []string
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		if at := mountPath.Replace(f[4]); at == dir || strings.HasPrefix(at, dir+"/") {
			mounts = append(mounts, at)
		}
	}
	return mounts
}
