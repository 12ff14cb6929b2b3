#!/usr/bin/env bash
# Subject:  github.com/nxadm/tail v1.4.11.
# Expected: with Follow, every line that is appended to the file arrives. The README
#           promises tail -f, and the comment on Config.Follow new lines.
# Seen:     a line that is written in two parts costs all that follows it. The reader
#           hands out the first part as a line of its own. When the consumer has taken
#           it, the reader seeks to the end of the file: the second part, and every
#           whole line that was written meanwhile, is never read. No error says so.
#           Config.CompleteLines, which is off by default, avoids it.
# Output:   written: "half", then " of it\nsecond\nthird\n", then "fourth\n"
#           CompleteLines=false: ["half" "fourth"]
#           CompleteLines=true: ["half of it" "second" "third" "fourth"]
# Hurts:    who follows a daemon's log with it: a buffer that ends within a line and a
#           consumer that is slow for a moment are enough.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS='-mod=mod -modcacherw' GOMODCACHE=$work/mod
cat >go.mod <<'END'
module finding

go 1.24

require github.com/nxadm/tail v1.4.11
END
cat >main.go <<'END'
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nxadm/tail"
)

// await polls until the condition holds.
func await(what string, holds func() bool) {
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			fmt.Println("gave up waiting:", what)
			os.Exit(1)
		}
	}
}

// readTo reports whether the tail has read the log up to the offset.
func readTo(log *os.File, offset int64) bool {
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		target, _ := os.Readlink(fd)
		if target != log.Name() || filepath.Base(fd) == fmt.Sprint(log.Fd()) {
			continue
		}
		info, _ := os.ReadFile("/proc/self/fdinfo/" + filepath.Base(fd))
		return strings.HasPrefix(string(info), fmt.Sprintf("pos:\t%d\n", offset))
	}
	return false
}

func follow(path string, complete bool) (lines []string) {
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	fmt.Fprint(log, "half")
	t, err := tail.TailFile(path, tail.Config{
		Follow: true, CompleteLines: complete, Logger: tail.DiscardingLogger})
	if err != nil {
		panic(err)
	}
	next := func() string {
		select {
		case line := <-t.Lines:
			return line.Text
		case <-time.After(10 * time.Second):
			return "no line"
		}
	}
	await("the first part is read", func() bool { return readTo(log, 4) })
	fmt.Fprint(log, " of it\nsecond\nthird\n")
	if !complete {
		lines = append(lines, next())
		await("the tail is at the end", func() bool { return readTo(log, 24) })
	}
	// A line that is written before the tail watches the file waits for the next.
	go func() {
		for range 50 {
			fmt.Fprint(log, "fourth\n")
			time.Sleep(100 * time.Millisecond)
		}
	}()
	for {
		lines = append(lines, next())
		if last := lines[len(lines)-1]; last == "fourth" || last == "no line" {
			return lines
		}
	}
}

func main() {
	fmt.Println(`written: "half", then " of it\nsecond\nthird\n", then "fourth\n"`)
	for _, complete := range []bool{false, true} {
		path := filepath.Join(os.Args[1], fmt.Sprint("log-", complete))
		fmt.Printf("CompleteLines=%v: %q\n", complete, follow(path, complete))
	}
}
END
go build -o finding . 2>build.log || { cat build.log; exit 1; }
seen=$(timeout 40 ./finding "$work")
echo "$seen"
grep -qxF 'CompleteLines=false: ["half" "fourth"]' <<<"$seen" ||
    { echo "changed: the lines after one in two parts are no longer lost"; exit 1; }
