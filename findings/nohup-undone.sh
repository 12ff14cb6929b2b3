#!/usr/bin/env bash
# Subject:  timeout of coreutils 9.1-1 and dumb-init 1.2.5-2, behind nohup (Debian 12).
# Expected: what nohup starts ignores SIGHUP. nohup(1) says that it runs a command
#           immune to hangups, and execve(2) that an ignored signal stays ignored.
#           env, tini and stdbuf keep it so.
# Seen:     timeout and dumb-init install a handler for SIGHUP without asking whether
#           it was ignored. exec gives a handled signal its default back, so that
#           the program behind them dies of the hangup that nohup was to keep away.
# Output:   nohup sh                    ignores SIGHUP: yes
#           nohup tini -s sh            ignores SIGHUP: yes
#           nohup timeout 60 sh         ignores SIGHUP: no
#           nohup dumb-init sh          ignores SIGHUP: no
#           nohup timeout 60 sh, after a SIGHUP: exit status 129
# Hurts:    who puts a time limit or an init between nohup and a daemon, and logs out.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    coreutils=9.1-1 dumb-init=1.2.5-2 tini=0.19.0-1+b3
for file in *.deb; do dpkg-deb -x "$file" root; done
bin=$work/root/usr/bin

# ignores LABEL COMMAND…: does a program that this command starts ignore SIGHUP?
ignores() {
    local mask answer=no
    mask=$("$bin/nohup" "${@:2}" grep SigIgn /proc/self/status 2>/dev/null | cut -f2)
    if (( 0x$mask & 1 )); then answer=yes; fi
    printf 'nohup %-21s ignores SIGHUP: %s\n' "$1" "$answer"
}

seen=$(
    ignores 'sh' env
    ignores 'tini -s sh' "$bin/tini" -s --
    ignores 'timeout 60 sh' "$bin/timeout" 60
    ignores 'dumb-init sh' "$bin/dumb-init"
)
echo "$seen"

mkfifo pid
"$bin/nohup" "$bin/timeout" 60 sh -c 'echo $$ >pid; exec sleep 50' >/dev/null 2>&1 &
read -r pid <pid
kill -HUP "$pid"
status=0
wait $! 2>/dev/null || status=$?
echo "nohup timeout 60 sh, after a SIGHUP: exit status $status"

[ "$(grep -c ': yes' <<<"$seen")" = 2 ] && [ "$(grep -c ': no' <<<"$seen")" = 2 ] ||
    { echo "changed: the programs that keep SIGHUP ignored are others"; exit 1; }
[ "$status" = 129 ] || { echo "changed: the program behind timeout did not die of SIGHUP"; exit 1; }
