#!/usr/bin/env bash
# Subject:  wait-port 1.1.0 and wait-on 9.0.3 (npm), on TCP of Linux (seen with 6.18).
# Expected: they wait until something listens. wait-port's README says that it waits
#           for a port to open, and wait-on's that tcp: waits for a listener.
# Seen:     both are satisfied by a port on which nothing listens. A socket that connects
#           gets its own port from the range of ip_local_port_range. If that is the port
#           it connects to, TCP joins it to itself (a simultaneous open), and connect
#           succeeds. A tool that polls a port of that range meets this by chance, once
#           in tens of thousands of attempts with the usual range. Here the range has two
#           ports, in a network namespace of its own, so that it takes a moment.
# Output:   listeners: 0
#           wait-port: exit status 0, Connected!
#           wait-on: exit status 0
#           listeners: 0
# Hurts:    who waits so for a daemon on a port from that range: it is ready before it
#           has started, and while the tool is connected its bind fails.
set -euo pipefail

if [ "${1:-}" != inside ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    here=$(realpath "$0")
    cd "$work"
    npm install --silent --no-audit --no-fund --cache "$work/cache" \
        wait-port@1.1.0 wait-on@9.0.3 >/dev/null
    unshare --user --map-root-user --net "$here" inside
    exit
fi

ip link set lo up
# range PORT: what connects gets this port or the next; the tools have one each, because
# a connection that has ended keeps its ports for a minute.
range() { echo "$1 $(($1 + 1))" >/proc/sys/net/ipv4/ip_local_port_range; }
listeners() { grep -c ' 0A ' /proc/net/tcp || true; }

before=$(listeners)
echo "listeners: $before"
port=0 on=0
range 40010
said=$(timeout 25 node_modules/.bin/wait-port -t 20000 127.0.0.1:40010) || port=$?
echo "wait-port: exit status $port, $(tail -n 1 <<<"$said")"
range 40012
timeout 25 node_modules/.bin/wait-on -t 20000 -i 50 tcp:127.0.0.1:40012 >/dev/null || on=$?
echo "wait-on: exit status $on"
after=$(listeners)
echo "listeners: $after"
[ "$before$after" = 00 ] || { echo "the test is void: something listens"; exit 1; }
[ "$port" = 0 ] || { echo "changed: wait-port does not connect to itself"; exit 1; }
[ "$on" = 0 ] || { echo "changed: wait-on does not connect to itself"; exit 1; }
