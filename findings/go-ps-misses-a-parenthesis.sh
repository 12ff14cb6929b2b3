#!/usr/bin/env bash
# Subject:  github.com/mitchellh/go-ps v1.0.0.
# Expected: Processes returns all processes, and FindProcess finds one that runs. The
#           comments on them say so. proc(5) says that the name in /proc/PID/stat stands
#           in parentheses, and a name may have some itself: systemd's own (sd-pam) has.
# Seen:     the name is taken to end at its first closing parenthesis. FindProcess then
#           fails to parse the rest, and Processes leaves the process out and says nothing.
# Output:   sd-pam: FindProcess finds it; among all processes: 1
#           (sd-pam): FindProcess: expected space in input to match format; among all processes: 0
# Hurts:    who looks whether a daemon runs, or for the children of one, with this list.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS='-mod=mod -modcacherw' GOMODCACHE=$work/mod
printf 'module finding\n\ngo 1.24\n\nrequire github.com/mitchellh/go-ps v1.0.0\n' >go.mod
cat >main.go <<'END'
package main

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/mitchellh/go-ps"
)

func look(name string) {
	c := exec.Command("./" + name)
	c.Args = []string{name, "50"}
	if err := c.Start(); err != nil {
		panic(err)
	}
	defer c.Wait()
	defer c.Process.Kill()
	found := "FindProcess finds it"
	if _, err := ps.FindProcess(c.Process.Pid); err != nil {
		found = "FindProcess: " + err.Error()
	}
	all, err := ps.Processes()
	if err != nil {
		panic(err)
	}
	count := 0
	for _, p := range all {
		if p.Pid() == c.Process.Pid {
			count++
		}
	}
	fmt.Printf("%s: %s; among all processes: %d\n", name, found, count)
}

func main() {
	for _, name := range os.Args[1:] {
		look(name)
	}
}
END
go build -o finding . 2>build.log || { cat build.log; exit 1; }
cp "$(type -P sleep)" sd-pam
cp "$(type -P sleep)" '(sd-pam)'
seen=$(timeout 40 ./finding sd-pam '(sd-pam)')
echo "$seen"
grep -qxF 'sd-pam: FindProcess finds it; among all processes: 1' <<<"$seen" ||
    { echo "the comparison fails: an ordinary name is not found"; exit 1; }
grep -q '^(sd-pam): FindProcess: .*; among all processes: 0$' <<<"$seen" ||
    { echo "changed: a name with parentheses is found"; exit 1; }
