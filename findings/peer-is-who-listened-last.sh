#!/usr/bin/env bash
# Subject:  SO_PEERCRED of Linux (seen with 6.18), Python's asyncio and Go's
#           net.FileListener, each on a listening socket that was handed to it.
# Expected: with a socket that a parent has bound and passed on, as socket activation
#           does, a client sees one and the same process, however the server is written.
#           unix(7) names the process that called listen, which is here the parent.
# Seen:     a second listen on the same socket changes the answer. asyncio calls listen
#           once more on what it is given, Go does not. Clients of one see the server;
#           clients of the other see the last that listened, which may have ended.
# Output:   the parent has called listen: the peer is the parent
#           a Go server accepts: the peer is the parent
#           a Python server accepts: the peer is the Python server
#           it has ended, a Go server accepts: the peer is the Python server that ended
# Hurts:    who verifies the server, or finds its pid, by the credentials of a socket: the
#           pid may be that of a dead process, or by now of another one.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
printf 'module finding\n\ngo 1.24\n' >go.mod
cat >main.go <<'END'
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	l, err := net.FileListener(os.NewFile(3, "socket"))
	if err != nil {
		panic(err)
	}
	fmt.Println("up")
	c, err := l.Accept()
	if err != nil {
		panic(err)
	}
	c.Close()
	io.Copy(io.Discard, os.Stdin)
}
END
go build -o server .
cat >server.py <<'END'
import asyncio
import socket
import sys


async def main():
    server = await asyncio.start_unix_server(
        lambda _, writer: writer.close(), sock=socket.socket(fileno=3))
    print("up", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()

asyncio.run(main())
END
cat >check.py <<'END'
import os
import socket
import struct
import subprocess

listener = socket.socket(socket.AF_UNIX)
listener.bind("socket")
listener.listen()
names = {os.getpid(): "the parent"}


def peer():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("socket")
        raw = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid = struct.unpack("3i", raw)[0]
        client.recv(1) if servers else None
        return names.get(pid, str(pid))


def serve(label, name, *command):
    os.dup2(listener.fileno(), 3)
    server = subprocess.Popen(command, pass_fds=[3], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    server.stdout.readline()
    servers.append(server)
    names[server.pid] = name
    print(f"{label}: the peer is {peer()}")
    server.stdin.close()
    server.wait(20)
    names[server.pid] = name + " that ended"


servers = []
print("the parent has called listen: the peer is", peer())
listener.accept()[0].close()
serve("a Go server accepts", "the Go server", "./server")
serve("a Python server accepts", "the Python server", "python3", "server.py")
serve("it has ended, a Go server accepts", "another Go server", "./server")
END
seen=$(timeout 50 python3 check.py)
echo "$seen"
grep -qxF 'a Go server accepts: the peer is the parent' <<<"$seen" ||
    { echo "changed: who only accepts is the peer"; exit 1; }
grep -qxF 'a Python server accepts: the peer is the Python server' <<<"$seen" ||
    { echo "changed: a second listen does not change the peer"; exit 1; }
grep -qxF 'it has ended, a Go server accepts: the peer is the Python server that ended' <<<"$seen" ||
    { echo "changed: a dead process is not the peer"; exit 1; }
