#!/usr/bin/env bash
# Subject:  etcd 3.4.23-4+b4 (Debian 12), listening on a Unix socket.
# Expected: a socket can be put where the launcher wants it. The documentation of
#           --listen-client-urls offers unix:// with the path of a file.
# Seen:     a path is refused. What follows unix:// has to look like a host and a port
#           with a number, and is the name of a file in the current directory.
# Output:   unix:///run/…/etcd.sock: exit status 2, URL address does not have the form "host:port"
#           unix://localhost:2379: serves on the file "localhost:2379"
# Hurts:    who wants it reachable only through a directory of its own: the launcher has
#           to change its working directory, and all get the same odd name.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download etcd-server=3.4.23-4+b4
dpkg-deb -x etcd-server_*.deb root

# etcd URL: its peers' port is one that the kernel picks.
etcd() {
    exec root/usr/bin/etcd --data-dir data --listen-client-urls "$1" \
        --advertise-client-urls http://127.0.0.1:1 --listen-peer-urls http://127.0.0.1:0
}

status=0
(etcd "unix://$work/etcd.sock") >refused 2>&1 || status=$?
reason=$(grep -o 'URL address does not have the form "host:port"' refused || true)
echo "unix:///run/…/etcd.sock: exit status $status, $reason"
[ -n "$reason" ] && [ "$status" != 0 ] ||
    { echo "changed: a path is not refused"; cat refused; exit 1; }

(etcd unix://localhost:2379) >log 2>&1 &
for _ in $(seq 300); do
    answer=$(curl -s -m 5 --unix-socket localhost:2379 http://etcd/health || true)
    [ -n "$answer" ] && break
    kill -0 $! || { cat log; exit 1; }
    sleep 0.05
done
[ "$answer" = '{"health":"true"}' ] ||
    { echo "changed: it does not serve on localhost:2379 of its directory"; tail log; exit 1; }
echo "unix://localhost:2379: serves on the file \"$(find . -maxdepth 1 -type s -printf '%f')\""
