#!/usr/bin/env bash
# Subject:  start-stop-daemon of dpkg 1.21.23 (Debian 12), with --notify-await.
# Expected: a daemon that ends before it has said READY=1 has failed to start, and its
#           start fails at once. The manual says that --notify-await implements parts of
#           the readiness protocol of sd_notify(3), whose service manager does so.
# Seen:     start-stop-daemon does not notice the end of the daemon. It holds the socket
#           and waits for a message that cannot come, until --notify-timeout, which is a
#           minute by default. Then it says that it timed out, and not that it ended.
# Output:   the daemon ended with status 3; start-stop-daemon was still waiting
#           start-stop-daemon: timed out waiting for a notification
#           exit status 2
# Hurts:    who starts from an init script: a typing error in a configuration takes a
#           minute, and the message is about time.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download dpkg=1.21.23
dpkg-deb -x dpkg_*.deb root

mkfifo ends
root/sbin/start-stop-daemon --start --background --notify-await --notify-timeout 6 \
    --pidfile "$work/none" --exec /bin/sh -- -c "exec 3>'$work/ends'; echo \$\$ >&3; exit 3" 2>said &
starter=$!
read -r daemon <ends
for _ in $(seq 40); do kill -0 "$daemon" 2>/dev/null || break; sleep 0.05; done
if [ -e "/proc/$daemon" ] && ! grep -q '^State:.Z' "/proc/$daemon/status"; then
    echo "the test is void: the daemon runs"; exit 1
fi
sleep 1 # more than enough for a parent or a reader to notice
kill -0 "$starter" 2>/dev/null ||
    { echo "changed: start-stop-daemon ended with its daemon"; exit 1; }
echo "the daemon ended with status 3; start-stop-daemon was still waiting"
status=0
wait "$starter" || status=$?
cat said
echo "exit status $status"
grep -q 'timed out waiting for a notification' said ||
    { echo "changed: it says something else"; exit 1; }
[ "$status" = 2 ] || { echo "changed: it exits with $status"; exit 1; }
