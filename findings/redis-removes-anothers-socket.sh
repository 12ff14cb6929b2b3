#!/usr/bin/env bash
# Subject:  redis-server of redis-tools 5:7.0.15-1~deb12u10 (Debian 12), on a Unix socket.
# Expected: a second server cannot have an endpoint that is taken, and a server that
#           ends removes its own socket. With a TCP port it is so: the second one says
#           "Address already in use" and exits with 1. redis.conf says of unixsocket
#           only that it is the path to listen on.
# Seen:     the second server takes the path from the first, which lives on and is no
#           longer reached. When the first one is stopped, it removes the path again:
#           now the second one runs, has said that it is ready, and has no socket.
# Output:   both run; the socket answers for the second
#           the first is stopped: "Removing the unix socket file."
#           the second runs; its socket: gone
# Hurts:    who starts the new server before the old one is stopped, or launches one
#           twice by mistake: the launch succeeds, and stopping the old one cuts off
#           the new one.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    redis-tools=5:7.0.15-1~deb12u10 \
    libjemalloc2=5.3.0-1 liblzf1=3.6-3 libatomic1=12.2.0-14+deb12u1
for file in *.deb; do dpkg-deb -x "$file" root; done
lib=$(echo "$work"/root/usr/lib/*-linux-gnu)
redis() { LD_LIBRARY_PATH=$lib timeout 10 root/usr/bin/redis-cli -s "$work/socket" "$@"; }
until_() { for _ in $(seq 200); do "$@" && return 0; sleep 0.05; done; echo "gave up: $*"; exit 1; }
says() { grep -q "$2" "$1.log" 2>/dev/null; }

# redis-check-rdb is the server's program under another name.
cp -L root/usr/bin/redis-check-rdb redis-server
launch() {
    LD_LIBRARY_PATH=$lib ./redis-server --port 0 --unixsocket "$work/socket" \
        --save '' --logfile "$work/$1.log" &
}

launch first; first=$!
until_ says first 'ready to accept connections at'
launch second; second=$!
until_ says second 'ready to accept connections at'
kill -0 "$first" && kill -0 "$second" || { echo "changed: one of the two has ended"; exit 1; }
answers=$(redis info server | tr -d '\r' | sed -n 's/^process_id://p')
[ "$answers" = "$second" ] || { echo "changed: the first server kept its socket"; exit 1; }
echo "both run; the socket answers for the second"

kill "$first"; wait "$first" || true
echo "the first is stopped: $(grep -o 'Removing the unix socket.*' first.log)"
kill -0 "$second" || { echo "changed: the second server has ended"; exit 1; }
[ ! -e socket ] || { echo "changed: the second server's socket is still there"; exit 1; }
echo "the second runs; its socket: gone"
