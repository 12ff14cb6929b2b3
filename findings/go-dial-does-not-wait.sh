#!/usr/bin/env bash
# Subject:  net.DialTimeout of Go (seen with 1.26.8) and Python's socket with a timeout,
#           on a Unix socket of Linux (seen with 6.18).
# Expected: to connect to a server whose backlog is full takes until there is room, or
#           until the timeout. TCP does so, and connect(2) on a blocking Unix socket.
#           DialTimeout's comment says that the timeout bounds the whole of it.
# Seen:     both fail at once with EAGAIN, however long the timeout. They connect without
#           blocking, and for a Unix socket connect(2) then has no "in progress" that one
#           could wait for: "try again" is the answer, and neither does.
# Output:   Go, timeout 20s: dial unix: connect: resource temporarily unavailable, at once
#           Python, timeout 20s: BlockingIOError, at once
#           Python, no timeout: connected when there was room
# Hurts:    who checks a busy daemon's health over a Unix socket with a generous timeout:
#           it is called dead the moment that a few clients wait.
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
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	start := time.Now()
	_, err := net.DialTimeout("unix", os.Args[1], 20*time.Second)
	when := "late"
	if time.Since(start) < 10*time.Second {
		when = "at once"
	}
	text := strings.ReplaceAll(fmt.Sprint(err), " "+os.Args[1], "")
	fmt.Printf("Go, timeout 20s: %s, %s\n", text, when)
}
END
go build -o dial .
cat >check.py <<'END'
import socket
import subprocess
import threading
import time

server = socket.socket(socket.AF_UNIX)
server.bind("socket")
server.listen(1)
waiting = []
while True:  # fill the backlog
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)
    try:
        client.connect("socket")
    except BlockingIOError:
        break
    waiting.append(client)

print(subprocess.run(["./dial", "socket"], stdout=subprocess.PIPE, text=True).stdout, end="")

client = socket.socket(socket.AF_UNIX)
client.settimeout(20)
start = time.monotonic()
try:
    client.connect("socket")
    result = "connected"
except OSError as error:
    result = type(error).__name__
when = "at once" if time.monotonic() - start < 10 else "late"
print(f"Python, timeout 20s: {result}, {when}")

client = socket.socket(socket.AF_UNIX)
thread = threading.Thread(target=client.connect, args=("socket",))
thread.start()
held, _ = server.accept()
thread.join(20)
print("Python, no timeout:", "stuck" if thread.is_alive() else "connected when there was room")
END
seen=$(timeout 50 python3 check.py)
echo "$seen"
grep -qxF 'Go, timeout 20s: dial unix: connect: resource temporarily unavailable, at once' <<<"$seen" ||
    { echo "changed: Go waits for room in the backlog"; exit 1; }
grep -qxF 'Python, timeout 20s: BlockingIOError, at once' <<<"$seen" ||
    { echo "changed: Python waits for room in the backlog"; exit 1; }
grep -qxF 'Python, no timeout: connected when there was room' <<<"$seen" ||
    { echo "the comparison fails: a blocking connect does not wait"; exit 1; }
