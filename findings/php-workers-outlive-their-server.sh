#!/usr/bin/env bash
# Subject:  the web server of php8.2-cli 8.2.36-1~deb12u1 (Debian 12), PHP_CLI_SERVER_WORKERS.
# Expected: the process that was started is the server: when SIGTERM has ended it, its
#           port is free. The page "Built-in web server" says that it can fork workers,
#           and nothing of how they are stopped; without workers it is so.
# Seen:     SIGTERM ends that process alone. Its workers live on as children of init (or
#           of the next subreaper), and answer on the port.
# Output:   without workers, after SIGTERM: 0 processes left, the port does not answer
#           with 3 workers, after SIGTERM: 3 processes left, the port answers 200
# Hurts:    who stops by pid: the stop succeeds, the old code is served, and the next
#           start fails because the address is in use.
set -euo pipefail

work=$(mktemp -d)
stop() { kill -9 $(serving) $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"; }
trap stop EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download php8.2-cli=8.2.36-1~deb12u1 \
    libargon2-1=0~20171227-0.3+deb12u1 libicu72=72.1-3+deb12u1 \
    libsodium23=1.0.18-1+deb12u1 libxml2=2.9.14+dfsg-1.3~deb12u6
for file in *.deb; do dpkg-deb -x "$file" root; done
mkdir site
echo hello >site/index.html
export LD_LIBRARY_PATH=$(echo "$work"/root/usr/lib/*-linux-gnu) PHPRC=$work
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

# serving: the processes that run our copy of php.
serving() {
    local exe
    for exe in /proc/[0-9]*/exe; do
        if [ "$(readlink "$exe" 2>/dev/null)" = "$work/root/usr/bin/php8.2" ]; then
            cut -d' ' -f1 "${exe%exe}stat" 2>/dev/null || true
        fi
    done
}
answer() { curl -s -m 5 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/" || true; }

# try WORKERS: starts, stops by SIGTERM, and sets left and code.
try() {
    local server up=
    PHP_CLI_SERVER_WORKERS=$1 root/usr/bin/php8.2 -n -S "127.0.0.1:$port" -t site >log 2>&1 &
    server=$!
    for _ in $(seq 200); do
        [ "$(answer)" = 200 ] && [ "$(serving | wc -l)" = "$2" ] && { up=yes; break; }
        sleep 0.05
    done
    [ -n "$up" ] || { echo "gave up: it does not serve"; cat log; exit 1; }
    kill "$server"
    wait "$server" || true
    left=$(serving | wc -l) code=$(answer)
}

try 1 1
echo "without workers, after SIGTERM: $left processes left, the port does not answer"
[ "$left $code" = '0 000' ] || { echo "the comparison fails: the port answers $code"; exit 1; }
try 3 4
echo "with 3 workers, after SIGTERM: $left processes left, the port answers $code"
[ "$left $code" = '3 200' ] || { echo "changed: the workers end with their server"; exit 1; }
