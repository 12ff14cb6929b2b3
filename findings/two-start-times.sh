#!/usr/bin/env bash
# Subject:  field 22 of /proc/PID/stat of Linux (seen with 6.18) and time namespaces.
# Expected: the start time of a process is a fact about that process. proc(5) says: the
#           time when it started after the boot. Together with the pid it tells one
#           process from a later one with the same pid.
# Seen:     the number depends on who reads it. The kernel adds the offset of the reader's
#           time namespace, also for processes that are not in it. time_namespaces(7)
#           lists clocks and /proc/uptime, and not this.
# Output:   start time of one process: 14423832 outside, 24423832 inside, 14423832 outside again
#           difference: 10000000 ticks; the offset of the namespace: 10000000
# Hurts:    who records pid and start time, and compares them in a container that has an
#           offset, as one restored from a checkpoint has: the daemon that runs is taken
#           for another one, and launched again.
set -euo pipefail

sleep 50 &
pid=$!
trap 'kill $pid 2>/dev/null || true' EXIT
start='{ print $22 }'
outside=$(awk "$start" "/proc/$pid/stat")
inside=$(unshare --user --map-root-user --time --boottime 100000 awk "$start" "/proc/$pid/stat")
after=$(awk "$start" "/proc/$pid/stat")
ticks=$(( 100000 * $(getconf CLK_TCK) ))
echo "start time of one process: $outside outside, $inside inside, $after outside again"
echo "difference: $(( inside - outside )) ticks; the offset of the namespace: $ticks"
[ "$outside" = "$after" ] || { echo "the comparison fails: it changes outside too"; exit 1; }
[ $(( inside - outside )) = "$ticks" ] || { echo "changed: the reader's namespace does not count"; exit 1; }
