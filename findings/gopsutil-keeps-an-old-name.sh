#!/usr/bin/env bash
# Subject:  github.com/shirou/gopsutil/v4 v4.26.10, package process.
# Expected: Name, Exe and Cmdline of one Process value speak of one program. The comments
#           say that they return the name, the path and the command line of the process.
# Seen:     Name is remembered, the others are read anew. After the process has executed
#           another program, as a wrapper does for a daemon, one value gives the
#           wrapper's name with the daemon's path and arguments.
# Output:   before exec: Name=sh Exe=SHELL
#           after exec: Name=sh Exe=sleep Cmdline="sleep 50"
#           after exec, a new value: Name=sleep
# Hurts:    who watches a pod from its start: a daemon behind "sh -c 'exec …'" keeps the
#           name sh in every metric, and a check "is this still my daemon" fails.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS='-mod=mod -modcacherw' GOMODCACHE=$work/mod
printf 'module finding\n\ngo 1.24\n\nrequire github.com/shirou/gopsutil/v4 v4.26.10\n' >go.mod
cat >main.go <<'END'
package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

func main() {
	c := exec.Command("sh", "-c", "read line; exec sleep 50")
	in, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		panic(err)
	}
	defer c.Wait()
	defer c.Process.Kill()
	p, err := process.NewProcess(int32(c.Process.Pid))
	if err != nil {
		panic(err)
	}
	name, _ := p.Name()
	shell, _ := p.Exe()
	fmt.Printf("before exec: Name=%s Exe=SHELL\n", name)

	fmt.Fprintln(in)
	exe := shell
	for end := time.Now().Add(20 * time.Second); exe == shell && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
		exe, _ = p.Exe()
	}
	name, _ = p.Name()
	line, _ := p.Cmdline()
	fmt.Printf("after exec: Name=%s Exe=%s Cmdline=%q\n", name, filepath.Base(exe), line)

	q, err := process.NewProcess(int32(c.Process.Pid))
	if err != nil {
		panic(err)
	}
	name, _ = q.Name()
	fmt.Printf("after exec, a new value: Name=%s\n", name)
}
END
go build -o finding . 2>build.log || { cat build.log; exit 1; }
seen=$(timeout 40 ./finding)
echo "$seen"
grep -qxF 'after exec: Name=sh Exe=sleep Cmdline="sleep 50"' <<<"$seen" ||
    { echo "changed: the name follows the program"; exit 1; }
grep -qxF 'after exec, a new value: Name=sleep' <<<"$seen" ||
    { echo "the comparison fails: a new value has the old name too"; exit 1; }
