#!/usr/bin/env bash
# Subject:  nginx 1.22.1-9+deb12u11 (Debian 12) and a variable called NGINX.
# Expected: nginx goes to the background unless it is configured with "daemon off".
#           The page of its core module says that this directive decides.
# Seen:     any variable NGINX in the environment, empty or with a path in it, keeps it
#           in the foreground: nginx takes itself for the new program of an upgrade on
#           the fly. It does not check that sockets came with it. The page says of the
#           directive "env" that the variable is nginx's own and not to be set, and not
#           what happens otherwise.
# Output:   without NGINX: the command returned 0, nginx runs in the background
#           NGINX=/usr/sbin/nginx: the command is nginx itself, in the foreground
#           [emerg] invalid socket number "/usr/sbin/nginx" in NGINX environment variable
# Hurts:    who names the program to run in such a variable, as scripts do: a launcher
#           that waits for the command to return waits forever, and one that has
#           learned how nginx forks adopts nothing.
set -euo pipefail

work=$(mktemp -d)
stop() {
    kill $(jobs -p) $(cat "$work/pid" 2>/dev/null) 2>/dev/null || true
    wait
    for _ in $(seq 100); do [ -e "$work/pid" ] || break; sleep 0.05; done
    rm -rf "$work"
}
trap stop EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download nginx=1.22.1-9+deb12u11
for file in *.deb; do dpkg-deb -x "$file" root; done
cat >nginx.conf <<END
pid $work/pid;
error_log $work/error.log notice;
events {}
http { access_log off; server { listen unix:$work/socket; } }
END
nginx=("$work/root/usr/sbin/nginx" -p "$work" -c "$work/nginx.conf" -e "$work/error.log")
until_() { for _ in $(seq 200); do "$@" && return 0; sleep 0.05; done; echo "gave up: $*"; exit 1; }

env -u NGINX timeout 20 "${nginx[@]}" || { echo "changed: the command returned $?"; exit 1; }
until_ test -s pid
kill -0 "$(cat pid)"
echo "without NGINX: the command returned 0, nginx runs in the background"
kill "$(cat pid)"
until_ test ! -e pid
rm error.log

NGINX=/usr/sbin/nginx "${nginx[@]}" &
until_ test -s pid
[ "$(cat pid)" = $! ] || { echo "changed: with NGINX it went to the background"; exit 1; }
echo "NGINX=/usr/sbin/nginx: the command is nginx itself, in the foreground"
grep -o '\[emerg\].*variable' error.log | sed 's/ [0-9#]*: / /' ||
    { echo "changed: it says nothing of the variable"; exit 1; }
