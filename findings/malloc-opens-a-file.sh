#!/usr/bin/env bash
# Subject:  glibc 2.36 (Debian 12), and Go 1.26.8 with cgo above it.
# Expected: malloc(3), free(3) and the start of a thread open no file. The manual pages name
#           none, and programs restrict themselves by seccomp once they have what they need.
# Seen:     the tenth thread that allocates opens /sys/devices/system/cpu/online and reads it,
#           because glibc wants to know how many arenas there may be. It happens once. A Go
#           program with cgo does it in the start of a thread of its runtime, before any Go
#           code runs there. With MALLOC_ARENA_MAX=1 nobody opens it.
# Output:   C: opened by thread 10 of 20
#           Go with cgo: opened, once, while 20 goroutines got a thread each
#           Go with cgo and MALLOC_ARENA_MAX=1: not opened
# Hurts:    who restricts a daemon by seccomp or a sandbox after its start, and sees it refused
#           hours later, under load; who counts a program's system calls, or lets one fail in a
#           test.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

# run PROGRAM runs it with a file of its own in that place: others open the real one, too.
cp /sys/devices/system/cpu/online .
run() {
    timeout 20 unshare -Urm sh -c 'mount --bind "$0" /sys/devices/system/cpu/online; exec "$@"' "$dir/online" "$@"
}

cat >threads.c <<'END'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

static int allocated[2];

static void *allocate(void *nothing) {
    free(malloc(100));
    if (write(allocated[1], "x", 1) == 1)
        pause();
    return nothing;
}

int main(void) {
    char seen[4096];
    pthread_t thread;
    int watch = inotify_init1(IN_NONBLOCK);
    if (pipe(allocated) || inotify_add_watch(watch, "/sys/devices/system/cpu/online", IN_OPEN) < 0)
        return 1;
    for (int n = 2; n <= 20; n++) { /* the first thread is main's */
        if (pthread_create(&thread, NULL, allocate, NULL) || read(allocated[0], seen, 1) != 1)
            return 1;
        if (read(watch, seen, sizeof seen) > 0)
            printf("opened by thread %d of 20\n", n);
    }
    return 0;
}
END
cc -O0 -pthread -o threads threads.c
c=$(run ./threads)
echo "C: $c"

mkdir cgo && cd cgo
cat >go.mod <<'END'
module threads

go 1.26
END
cat >main.go <<'END'
package main

import "C"

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

func main() {
	watch, err := syscall.InotifyInit1(syscall.IN_NONBLOCK)
	if err == nil {
		_, err = syscall.InotifyAddWatch(watch, "/sys/devices/system/cpu/online", syscall.IN_OPEN)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	times := 0
	for range 20 {
		begun := make(chan bool)
		go func() {
			runtime.LockOSThread()
			begun <- true
			select {}
		}()
		<-begun
		if n, err := syscall.Read(watch, make([]byte, 4096)); err == nil && n > 0 {
			times++
		}
	}
	fmt.Println(times)
}
END
CGO_ENABLED=1 GOTOOLCHAIN=local GOFLAGS=-mod=mod go build -o program .
plain=$(run ./program)
one=$(MALLOC_ARENA_MAX=1 run ./program)
[[ $plain != 1 ]] || echo "Go with cgo: opened, once, while 20 goroutines got a thread each"
[[ $one != 0 ]] || echo "Go with cgo and MALLOC_ARENA_MAX=1: not opened"

if [[ $c != "opened by thread 10 of 20" || $plain != 1 || $one != 0 ]]; then
    echo "changed: C: $c, Go: $plain times, with one arena $one times"
    exit 1
fi
