#!/usr/bin/env bash
# Subject:  haproxy 2.6.12-1+deb12u4 (Debian 12), two of them on one port.
# Expected: a port that is taken is an error for the second one, as it is when another
#           program has it: "cannot bind socket (Address already in use)".
# Seen:     two independent haproxy of one user share the port. Both say nothing and run,
#           and the kernel gives each a part of the connections. haproxy sets
#           SO_REUSEPORT so that a new one can follow an old one, and does not find out
#           whether it is to follow. Its manual names that under "noreuseport" only.
# Output:   the port has another program: haproxy ends with 1, Address already in use
#           the port has another haproxy: both run; answers of the first and of the second
# Hurts:    who relies on the taken port to keep two deployments apart: requests go to the
#           old configuration and to the new one by turns, and both look healthy.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download haproxy=2.6.12-1+deb12u4 \
    liblua5.3-0=5.3.6-2 libopentracing-c-wrapper0=1.1.3-3+b1 libopentracing1=1.6.0-4
for file in *.deb; do dpkg-deb -x "$file" root; done
export LD_LIBRARY_PATH=$(echo "$work"/root/usr/lib/*-linux-gnu)
mkfifo taken release

# Another program listens on a port that the kernel picks, until it is released.
python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
open("taken", "w").write(str(s.getsockname()[1]) + "\n")
open("release").read()' &
other=$!
read -r port <taken

for name in first second; do
    cat >$name.cfg <<END
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend $name
    bind 127.0.0.1:$port
    http-request return status 200 content-type text/plain string $name
END
done
haproxy() { exec root/usr/sbin/haproxy -db -f "$1.cfg"; }

status=0
(timeout 20 root/usr/sbin/haproxy -db -f first.cfg) >refused 2>&1 || status=$?
reason=$(grep -o 'Address already in use' refused | head -n 1 || true)
echo "the port has another program: haproxy ends with $status, $reason"
[ "$status" = 1 ] && [ -n "$reason" ] ||
    { echo "the comparison fails: it does not say that the port is taken"; exit 1; }
echo >release
wait $other

(haproxy first) 2>first.log & first=$!
for _ in $(seq 200); do
    [ "$(curl -s -m 5 "http://127.0.0.1:$port/")" = first ] && break
    sleep 0.05
done
(haproxy second) 2>second.log & second=$!
seen=
for _ in $(seq 400); do
    seen+="$(curl -s -m 5 "http://127.0.0.1:$port/") "
    case $seen in *second*first*) break ;; esac
    kill -0 $second 2>/dev/null || break
    sleep 0.02
done
kill -0 $first && kill -0 $second || { echo "changed: one of the two has ended"; cat ./*.log; exit 1; }
case $seen in
*second*first*) echo "the port has another haproxy: both run; answers of the first and of the second" ;;
*) echo "changed: only one of them answers: $seen"; exit 1 ;;
esac
