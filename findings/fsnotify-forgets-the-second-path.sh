#!/usr/bin/env bash
# Subject:  github.com/fsnotify/fsnotify v1.10.1, on inotify of Linux.
# Expected: a path that was added is watched: it is in WatchList, events bear it, and
#           Remove removes it. The comments on Add and on Event.Name say so.
# Seen:     a second path to the same directory, as /var/run is to /run, is taken and
#           forgotten. Add returns nil, but no event bears the path, it is in no list, and
#           Remove says that it does not exist. inotify has one watch for one inode.
# Output:   Add(run): nil, Add(link): nil
#           WatchList: [run]
#           a file appears: CREATE run/ready
#           Remove(link): fsnotify: can't remove non-existent watch
# Hurts:    who waits for the pid file or the socket of two daemons in one directory by
#           two paths: the events of the second are those of the first, and are dropped
#           as not its own.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS='-mod=mod -modcacherw' GOMODCACHE=$work/mod
printf 'module finding\n\ngo 1.24\n\nrequire github.com/fsnotify/fsnotify v1.10.1\n' >go.mod
cat >main.go <<'END'
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/fsnotify/fsnotify"
)

func say(err error) string {
	if errors.Is(err, fsnotify.ErrNonExistentWatch) {
		return fsnotify.ErrNonExistentWatch.Error()
	}
	if err != nil {
		return err.Error()
	}
	return "nil"
}

func main() {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		panic(err)
	}
	fmt.Printf("Add(run): %s, Add(link): %s\n", say(w.Add("run")), say(w.Add("link")))
	fmt.Println("WatchList:", w.WatchList())
	if err := os.WriteFile("run/ready", nil, 0o600); err != nil {
		panic(err)
	}
	// A second file ends the events of the first, whichever paths they bear.
	if err := os.WriteFile("run/last", nil, 0o600); err != nil {
		panic(err)
	}
	for last := false; !last; {
		select {
		case e := <-w.Events:
			if last = e.Name == "run/last" || e.Name == "link/last"; !last {
				fmt.Println("a file appears:", e.Op, e.Name)
			}
		case <-time.After(20 * time.Second):
			panic("no event")
		}
	}
	fmt.Println("Remove(link):", say(w.Remove("link")))
}
END
mkdir run
ln -s run link
go build -o finding . 2>build.log || { cat build.log; exit 1; }
seen=$(timeout 40 ./finding)
echo "$seen"
grep -qxF 'Add(run): nil, Add(link): nil' <<<"$seen" ||
    { echo "changed: Add refuses the second path"; exit 1; }
grep -qF 'a file appears: CREATE link/' <<<"$seen" &&
    { echo "changed: an event bears the second path"; exit 1; }
grep -qF "Remove(link): fsnotify: can't remove non-existent watch" <<<"$seen" ||
    { echo "changed: the second path can be removed"; exit 1; }
