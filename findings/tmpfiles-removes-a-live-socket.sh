#!/usr/bin/env bash
# Subject:  systemd-tmpfiles 252.39-1~deb12u2 with haproxy 2.6.12-1+deb12u4 (Debian 12), and
#           the names of Unix sockets in Linux (seen with 6.18).
# Expected: the cleaning of old files spares a socket on which a program listens, however
#           old it is: systemd-tmpfiles says of one that it leaves it, for it is live.
# Seen:     it removes the sockets of a running haproxy. It knows a live socket by its path
#           in /proc/net/unix. There stands the name that was given to bind(2), for ever.
#           haproxy binds a name of its own, and renames the file when it has set its owner
#           and mode. A path that was relative to the directory of the server is not found
#           there either. Neither tmpfiles.d(5) nor haproxy's manual mentions it.
# Output:   bound by its full path, 11 days old, after the cleaning: is answered
#           bound by a relative path, 11 days old, after the cleaning: has no file
#           haproxy's, 11 days old, after the cleaning: has no file; haproxy runs: yes
#           the path of haproxy's configuration is in /proc/net/unix: no
# Hurts:    who has a socket below /tmp, /var/tmp or another directory with an age: ten days
#           after the start every client fails, and the daemon is alive and listens.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download systemd-standalone-tmpfiles=252.39-1~deb12u2 \
    haproxy=2.6.12-1+deb12u4 liblua5.3-0=5.3.6-2 \
    libopentracing-c-wrapper0=1.1.3-3+b1 libopentracing1=1.6.0-4
for file in *.deb; do dpkg-deb -x "$file" root; done
export LD_LIBRARY_PATH=$(echo "$work"/root/usr/lib/*-linux-gnu)
mkdir run

# Two servers of Python, which answer as haproxy will.
python3 -c 'import os, socket, threading
def serve(path):
    s = socket.socket(socket.AF_UNIX); s.bind(path); s.listen()
    def answer():
        while True:
            c, _ = s.accept(); c.recv(1000)
            c.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello"); c.close()
    threading.Thread(target=answer).start()
serve(os.path.abspath("run/full"))
os.chdir("run")
serve("relative")' &
cat >haproxy.cfg <<END
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend hello
    bind unix@$work/run/haproxy
    http-request return status 200 content-type text/plain string hello
END
root/usr/sbin/haproxy -db -f haproxy.cfg &
haproxy=$!
answers() {
    [ "$(curl -s -m 10 --noproxy '*' --unix-socket "run/$1" http://localhost/)" = hello ]
}
for name in full relative haproxy; do
    for _ in $(seq 400); do
        if answers $name; then continue 2; fi
        sleep 0.05
    done
    echo "gave up: $name does not answer"
    exit 1
done

listed=no
if sed 's/$/ /' /proc/net/unix | grep -qF " $work/run/haproxy "; then listed=yes; fi

touch -d '11 days ago' run/*
echo "d $work/run - - - m:10d" >tmpfiles.conf
root/bin/systemd-tmpfiles --clean "$work/tmpfiles.conf"

# after NAME: what the cleaning has left of its socket.
after() {
    if answers "$1"; then echo "is answered"
    elif [ ! -e "run/$1" ]; then echo "has no file"
    else echo "is not answered"; fi
}
full=$(after full) relative=$(after relative) haproxys=$(after haproxy) runs=no
if kill -0 "$haproxy" 2>/dev/null; then runs=yes; fi
echo "bound by its full path, 11 days old, after the cleaning: $full"
echo "bound by a relative path, 11 days old, after the cleaning: $relative"
echo "haproxy's, 11 days old, after the cleaning: $haproxys; haproxy runs: $runs"
echo "the path of haproxy's configuration is in /proc/net/unix: $listed"
[ "$full" = 'is answered' ] || { echo "the comparison fails: no live socket is spared"; exit 1; }
[ "$haproxys, $runs, $listed" = 'has no file, yes, no' ] ||
    { echo "changed: the socket of a running haproxy is spared"; exit 1; }
[ "$relative" = 'has no file' ] || { echo "changed: a relative path is known"; exit 1; }
