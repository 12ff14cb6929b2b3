#!/usr/bin/env bash
# Subject:  asyncio of Python 3.11.2-6+deb12u9 (Debian 12) on a TCP listener of Go 1.26.8 (Linux 6.18).
# Expected: asyncio sets TCP_NODELAY on what it accepts. The documentation of its
#           transports says that this is the default since Python 3.6.
# Seen:     Go 1.24 and later listen with Multipath TCP where the kernel has it. asyncio
#           sets the option only where the protocol is TCP, and skips it on a listener
#           that a Go program has handed on.
# Output:   a listener of Go: protocol 262, TCP_NODELAY 0
#           the same with multipathtcp=0: protocol 6, TCP_NODELAY 1
# Hurts:    who binds the port in a Go launcher and hands it to a Python server: small
#           answers wait for acknowledgements, and no setting of the server says why.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    python3.11-minimal=3.11.2-6+deb12u9 libpython3.11-minimal=3.11.2-6+deb12u9 \
    libpython3.11-stdlib=3.11.2-6+deb12u9
for file in *.deb; do dpkg-deb -x "$file" root; done
printf 'module finding\n\ngo 1.24\n' >go.mod
cat >main.go <<'END'
package main

import (
	"net"
	"os"
	"os/exec"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		panic(err)
	}
	c := exec.Command("root/usr/bin/python3.11", "server.py")
	c.ExtraFiles = []*os.File{f}
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		os.Exit(1)
	}
}
END
cat >server.py <<'END'
import asyncio
import socket


async def main():
    listener = socket.socket(fileno=3)

    async def serve(_, writer):
        option = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP,
                                                            socket.TCP_NODELAY)
        print(f"protocol {listener.proto}, TCP_NODELAY {option}", flush=True)
        writer.close()
    async with await asyncio.start_server(serve, sock=listener):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        await reader.read()
        writer.close()

asyncio.run(main())
END
go build -o finding . 2>build.log || { cat build.log; exit 1; }
seen=$(timeout 20 ./finding)
plain=$(GODEBUG=multipathtcp=0 timeout 20 ./finding)
echo "a listener of Go: $seen"
echo "the same with multipathtcp=0: $plain"
[ "$plain" = "protocol 6, TCP_NODELAY 1" ] ||
    { echo "the comparison fails: asyncio does not set it on TCP either"; exit 1; }
[ "$seen" = "protocol 262, TCP_NODELAY 0" ] ||
    { echo "changed: asyncio sets it on a listener of Go, or Go listens with TCP"; exit 1; }
