#!/usr/bin/env bash
# Subject:  io.Copy of Go (seen with 1.26.8) from a socket to a file, on Linux.
# Expected: while it copies, it needs the two descriptors that it was given, and when it has
#           returned, and both are closed, nothing is open. The comments of io.Copy and of
#           os.File.ReadFrom speak of no descriptors.
# Seen:     each copy has a pipe of its own, through which it splices: two descriptors more.
#           They stay open when the copy has returned, until the second collection of garbage
#           after that. A program that allocates little collects every two minutes.
# Output:   200 copies run: 400 more; have ended: 400 more; after one collection: 400 more;
#           after two: 0 more
#           with a writer that hides the file: 0 more; 0 more; 0 more; 0 more
# Hurts:    who writes what many servers say to their logs: it reaches its limit on
#           descriptors with a third of the servers that it has reckoned with. And who
#           compares the open descriptors before and after a test: nobody has left these.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >go.mod <<'END'
module finding

go 1.24
END
cat >main.go <<'END'
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

const copies = 200

// pipes counts the descriptors that lead to a pipe.
func pipes() (n int) {
	entries, err := os.ReadDir("/proc/self/fd")
	must(err)
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// until waits at most ten seconds.
func until(ok func() bool) {
	for i := 0; i < 1000 && !ok(); i++ {
		time.Sleep(10 * time.Millisecond)
	}
}

func main() {
	hidden := len(os.Args) > 1
	before := pipes()
	more := func() int { return pipes() - before }
	l, err := net.Listen("unix", "socket")
	must(err)
	defer l.Close()
	var clients []net.Conn
	var logs []string
	var all sync.WaitGroup
	for i := 0; i < copies; i++ {
		client, err := net.Dial("unix", "socket")
		must(err)
		server, err := l.Accept()
		must(err)
		log, err := os.Create(fmt.Sprintf("log%d", i))
		must(err)
		clients, logs = append(clients, client), append(logs, log.Name())
		all.Add(1)
		go func() {
			defer all.Done()
			var to io.Writer = log
			if hidden {
				to = struct{ io.Writer }{log}
			}
			_, err := io.Copy(to, server)
			must(err)
			must(server.Close())
			must(log.Close())
		}()
	}
	for i, client := range clients {
		fmt.Fprintln(client, "hello")
		until(func() bool { text, _ := os.ReadFile(logs[i]); return string(text) == "hello\n" })
	}
	run := more()
	for _, client := range clients {
		must(client.Close())
	}
	all.Wait()
	ended := more()
	runtime.GC()
	time.Sleep(200 * time.Millisecond)
	one := more()
	runtime.GC()
	until(func() bool { return more() == 0 })
	fmt.Printf("%d %d %d %d\n", run, ended, one, more())
}
END
go build -o copy .
plain=$(timeout 50 ./copy)
hidden=$(timeout 50 ./copy hidden)
say() { echo "$1: $2 more; have ended: $3 more; after one collection: $4 more; after two: $5 more"; }
say '200 copies run' $plain
say 'with a writer that hides the file' $hidden
[[ $plain == '400 400 400 0' ]] || { echo "changed: io.Copy has other descriptors"; exit 1; }
[[ $hidden == '0 0 0 0' ]] || { echo "the comparison fails: a copy through memory has descriptors"; exit 1; }
