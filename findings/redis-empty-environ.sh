#!/usr/bin/env bash
# Subject:  redis-server of redis-tools 5:7.0.15-1~deb12u10 (Debian 12), /proc/PID/environ.
# Expected: /proc/PID/environ shows the environment with which the program was started.
#           proc(5) says so; what a program changes later is not in it.
# Seen:     redis-server gives itself a title for ps. It wipes the memory that held its
#           arguments and its environment. The kernel reads both from there, so that the
#           file keeps its size and is nothing but zero bytes: no variable, no error.
# Output:   sleep has COOKIE=job-42 in /proc/PID/environ: yes
#           redis-server, started with the same: no
#           bytes in its /proc/PID/environ that are not zero: 0
# Hurts:    who finds the processes of a job by a variable that they inherit, as build
#           servers do to clean up: redis is never found, and runs on.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    redis-tools=5:7.0.15-1~deb12u10 \
    libjemalloc2=5.3.0-1 liblzf1=3.6-3 libatomic1=12.2.0-14+deb12u1
for file in *.deb; do dpkg-deb -x "$file" root; done
# redis-check-rdb is the server's program under another name.
cp -L root/usr/bin/redis-check-rdb redis-server
until_() { for _ in $(seq 200); do "$@" && return 0; sleep 0.05; done; echo "gave up: $*"; exit 1; }
shows() { tr '\0' '\n' <"/proc/$1/environ" | grep -qx 'COOKIE=job-42'; }

export COOKIE=job-42
sleep 50 &
until_ shows $!
echo "sleep has COOKIE=job-42 in /proc/PID/environ: yes"

LD_LIBRARY_PATH=$(echo "$work"/root/usr/lib/*-linux-gnu) ./redis-server \
    --port 0 --unixsocket "$work/socket" --save '' >log &
until_ grep -q 'ready to accept connections at' log
server=no
if shows $!; then server=yes; fi
left=$(tr -d '\0' <"/proc/$!/environ" | wc -c)
echo "redis-server, started with the same: $server"
echo "bytes in its /proc/PID/environ that are not zero: $left"
[ "$server" = no ] || { echo "changed: redis-server shows its environment"; exit 1; }
